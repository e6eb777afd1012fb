"""The authority opens a disclosure in its browser: what public tools give, and nothing forged."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.async_api import FilePayload, Locator, Page, expect
from sqlalchemy import select

from callcenter.demands import disclosures, release
from callcenter.demands.jobs import tend_bundles
from callcenter.demands.rules.signing import SECRET, fingerprint, public_pem
from callcenter.demands.store import DemandRow
from callcenter.platform.audit.rules.checkpoints import key_from
from callcenter.platform.audit.tables import audit_entry
from callcenter.platform.core.secrets import read_secret
from callcenter.platform.identity.permissions import Role
from callcenter.platform.storage.engine import unit_of_work
from callcenter.platform.storage.jobs import WorkerResources
from tests.browser.chromium import actor
from tests.browser.conftest import Open
from tests.browser.site import Served
from tests.demands.conftest import HEAD
from tests.demands.test_disclosing import checked, shell
from tests.demands.test_forged_bundles import (
    FORGED,
    SCRIPT,
    members,
    packed,
    parts,
    steps,
)
from tests.demands.test_registering import found

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

HOME = "/authority/demands"
REFUSED = ("altered", "unsigned", "damaged", "demand")


def center_key(site: Served) -> Ed25519PrivateKey:
    return key_from(read_secret(site.settings.secrets_folder, SECRET), SECRET)


def message(page: Page, code: str) -> Locator:
    return page.locator(f'[data-message="{code}"]')


async def make_key(page: Page, folder: Path) -> str:
    """Make a key on the page, keep its file and add it; returns the private key."""
    await actor(page, HOME)
    async with page.expect_download() as saved:
        await page.locator("#make-key").click()
    await (await saved.value).save_as(folder / "authority.key")
    await expect(page.locator("#key-made")).to_be_visible()
    await page.locator("[action='/authority/keys'] button").click()
    await expect(page.locator(".done")).to_be_visible()
    return (folder / "authority.key").read_text().splitlines()[-1]


async def released(site: Served) -> DemandRow:
    """A demand whose bundle waits, encrypted to the newest key."""
    tools = WorkerResources(site.settings, site.engine)
    row = await checked(tools)
    async with unit_of_work(site.engine) as connection:
        key_id = (await disclosures.keys(connection))[0].id
    await release.confirm_key(site.engine, HEAD, key_id)
    await release.release(site.engine, HEAD, row.number, row.version, key_id, "as demanded")
    await tend_bundles(tools, datetime.now(UTC))
    return await found(site.engine, row.number)


def sums_outside(folder: Path, number: str, site: Served) -> dict[str, str]:
    """What age, the published script and sha256sum say of the saved bundle, by name of the file."""
    (folder / f"{number}.tar.age").rename(folder / "bundle.tar.age")
    (folder / "center.pem").write_text(public_pem(center_key(site)))
    (folder / "verify_bundle.py").write_bytes(SCRIPT.read_bytes())
    ran = shell(steps(number, fingerprint(center_key(site))), folder)
    assert ran.returncode == 0, ran.stderr
    listed = shell("cd opened && sha256sum letter.pdf recordings/*", folder).stdout
    return {line.split("/")[-1].split()[-1]: line.split()[0] for line in listed.splitlines()}


async def test_a_stranger_opens_what_public_tools_open(
    open_page: Open, site: Served, tmp_path: Path
) -> None:
    sent: list[str] = []
    async with open_page(Role.AUTHORITY, "ru") as page:
        page.on("request", lambda each: sent.append(each.url + (each.post_data or "")))
        private = await make_key(page, tmp_path)
        assert private.startswith("AGE-SECRET-KEY-1")
        row = await released(site)
        await actor(page, HOME)
        await page.locator(f"a[href='{HOME}/{row.number}/open']").click()
        await page.locator("#key").set_input_files(tmp_path / "authority.key")
        await expect(page.locator("#fingerprint")).to_have_value(fingerprint(center_key(site)))
        await page.locator("#open-bundle button").click()
        await expect(message(page, "verified")).to_be_visible()
        async with page.expect_download() as saved:
            await page.locator("#encrypted-copy a").click()
        await (await saved.value).save_as(tmp_path / f"{row.number}.tar.age")
        outside = sums_outside(tmp_path, row.number, site)
        assert len(outside) == 2
        shown = page.locator("#opened-files section")
        await expect(shown).to_have_count(len(outside))
        for name, expected in outside.items():
            file = shown.filter(has_text=name)
            await expect(file).to_contain_text(expected)
            async with page.expect_download() as saved:
                await file.locator("a").click()
            content = await (await saved.value).path()
            assert hashlib.sha256(content.read_bytes()).hexdigest() == expected
        await expect(page.locator("#opened-files audio")).to_have_js_property("error", None)
        await page.wait_for_function(
            "() => document.querySelector('#opened-files audio').duration > 4"
        )
        # It was given once; whoever saved it opens it again.
        await page.locator("#open-bundle button").click()
        await expect(message(page, "no_bundle")).to_be_visible()
        await page.locator("#bundle").set_input_files(tmp_path / "bundle.tar.age")
        await page.locator("#open-bundle button").click()
        await expect(message(page, "verified")).to_be_visible()
    assert [each for each in sent if private in each] == []
    taken = select(audit_entry.c.who).where(
        audit_entry.c.action == "web:demand:handed_over",
        audit_entry.c.subject == f"demand:{row.number}",
    )
    async with unit_of_work(site.engine) as connection:
        assert len((await connection.execute(taken)).all()) == 1


async def test_a_wrong_key_is_refused_before_anything_is_taken(
    open_page: Open, site: Served, tmp_path: Path
) -> None:
    async with open_page(Role.AUTHORITY, "ru") as page:
        await make_key(page, tmp_path)
        row = await released(site)
        wrong = str(pyrage.x25519.Identity.generate()).encode()
        await actor(page, f"{HOME}/{row.number}/open")
        await page.locator("#fingerprint").fill("0" * 64)
        await page.locator("#key").set_input_files(tmp_path / "authority.key")
        await page.locator("#open-bundle button").click()
        await expect(message(page, "center")).to_be_visible()
        await page.locator("#fingerprint").fill(fingerprint(center_key(site)))
        for content, code in ((wrong, "wrong_key"), (b"no key", "no_key")):
            file = FilePayload(name="a.key", mimeType="text/plain", buffer=content)
            await page.locator("#key").set_input_files(file)
            await page.locator("#open-bundle button").click()
            await expect(message(page, code)).to_be_visible()
    assert (await found(site.engine, row.number)).state == "released"


@asynccontextmanager
async def receiver(
    open_page: Open, site: Served, secret: pyrage.x25519.Identity
) -> AsyncIterator[Page]:
    """The page of a demand with this key chosen, and the checksum of the center's typed."""
    async with open_page(Role.AUTHORITY, "ru") as page:
        await actor(page, f"{HOME}/{site.demand}/open")
        key = FilePayload(name="a.key", mimeType="text/plain", buffer=str(secret).encode())
        await page.locator("#key").set_input_files(key)
        await page.locator("#fingerprint").fill(fingerprint(center_key(site)))
        yield page


async def opened(page: Page, sealed: bytes) -> str:
    """Open this bundle; returns the code of what the page says."""
    file = FilePayload(name="b.age", mimeType="application/octet-stream", buffer=sealed)
    await page.locator("#bundle").set_input_files(file)
    await page.locator("#open-bundle button").click()
    said = page.locator("[data-message]:not([hidden])")
    await expect(said).to_have_count(1)
    await expect(page.locator("#open-bundle button")).to_be_enabled()
    return await said.get_attribute("data-message") or ""


async def test_a_forged_bundle_is_refused_and_shows_nothing(open_page: Open, site: Served) -> None:
    secret = pyrage.x25519.Identity.generate()

    def sealed(tar: bytes) -> bytes:
        return bytes(pyrage.encrypt(tar, [secret.to_public()]))

    ours = members(parts(center_key(site), site.demand))
    whole = packed(ours)
    async with receiver(open_page, site, secret) as page:
        assert await opened(page, sealed(whole)) == "verified"
        await expect(page.locator("#opened")).to_be_visible()
        forged = {how: sealed(packed(change(ours))) for how, change in FORGED.items()}
        forged |= {f"cut at {left}": sealed(whole[:left]) for left in (0, 511, 512, -512, -9000)}
        forged |= {f"{more!r} after": sealed(whole + more) for more in (b"\0", bytes(512))}
        forged["cut ciphertext"] = sealed(whole)[:-20]
        forged["flipped byte"] = sealed(whole)[:-1] + b"!"
        for how, bundle in forged.items():
            assert await opened(page, bundle) in REFUSED, how
            await expect(page.locator("#opened")).to_be_hidden()
        other = packed(members(parts(center_key(site), "25-0007")))
        assert await opened(page, sealed(other)) == "demand"
        stranger = pyrage.x25519.Identity.generate().to_public()
        assert await opened(page, pyrage.encrypt(whole, [stranger])) == "wrong_key"
