"""Contracts of `lint-imports` that its own types cannot say; named in pyproject.toml."""

import re

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output


class HttpFilesContract(Contract):
    """Only modules whose names say that they speak HTTP import the web toolkit.

    `toolkit` is our own package, `libraries` are those it stands on, `files` are patterns of whole
    module names that may import them; what is inside the toolkit may too.
    """

    toolkit = fields.StringField()
    libraries = fields.ListField(subfield=fields.StringField())
    files = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        toolkit: str = self.contract_options["toolkit"]
        libraries: list[str] = self.contract_options["libraries"]
        allowed = re.compile("|".join(f"(?:{each})" for each in self.contract_options["files"]))
        inside = graph.find_descendants(toolkit) | {toolkit}
        importers = {
            importer
            for module in (*inside, *(each for each in libraries if each in graph.modules))
            for importer in graph.find_modules_that_directly_import(module)
        }
        broken = sorted(each for each in importers - inside if not allowed.fullmatch(each))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module in check.metadata["broken"]:
            output.print_error(f"{module} imports the web toolkit and is no HTTP file")


class PagesContract(Contract):
    """Modules of pages import no modules of the API; both are patterns of whole module names."""

    pages = fields.StringField()
    api = fields.StringField()

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        pages, api = (re.compile(self.contract_options[name]) for name in ("pages", "api"))
        broken = sorted(
            f"{module} imports {imported}"
            for module in graph.modules
            if pages.fullmatch(module)
            for imported in graph.find_modules_directly_imported_by(module)
            if api.fullmatch(imported)
        )
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["broken"]:
            output.print_error(line)


class ReachContract(Contract):
    """A module reaches, by imports of whatever length, only these modules of ours.

    `allowed` are patterns of whole module names.
    """

    source = fields.StringField()
    allowed = fields.ListField(subfield=fields.StringField())

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        source: str = self.contract_options["source"]
        allowed = re.compile("|".join(f"(?:{each})" for each in self.contract_options["allowed"]))
        reached = graph.find_upstream_modules(source)
        ours = {each for each in reached if each.startswith("callcenter.")}
        broken = sorted(each for each in ours if not allowed.fullmatch(each))
        return ContractCheck(kept=not broken, metadata={"broken": broken})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for module in check.metadata["broken"]:
            output.print_error(f"{self.contract_options['source']} reaches {module}")
