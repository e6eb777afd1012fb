"""What the worker does for the register by itself."""

from procrastinate import JobContext

from callcenter.register import progress
from callcenter.storage.engine import unit_of_work
from callcenter.storage.jobs import jobs, tools_of


@jobs.periodic(cron="10 * * * *")
@jobs.task(name="register.forget_attempts", pass_context=True, queueing_lock="register.forget")
async def forget_attempts(context: JobContext, timestamp: int) -> None:  # noqa: ARG001
    """Tries to learn how an appeal stands are forgotten a day later: they name who asked."""
    async with unit_of_work(tools_of(context).engine) as connection:
        await progress.forget_the_past(connection)
