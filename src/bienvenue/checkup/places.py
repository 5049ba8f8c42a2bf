"""The checks of where the pages are: what settings, an application and its requests say of it."""

from bienvenue import claim, clock
from bienvenue.checkup.context import CheckupContext, check
from bienvenue.finding import Severity

NOTED_WITHIN = 86400.0
"""Seconds for which a request that arrived under another path is worth a finding."""


@check(
    "BV032",
    Severity.WARNING,
    "Set BIENVENUE_BASE_URL and BIENVENUE_MOUNT to what the application has, or use "
    "`flask bienvenue`.",
)
def links_of_commands_lead_elsewhere(around: CheckupContext) -> str | None:
    """Find an application of this folder whose pages are not where links of this command lead."""
    found = claim.read(around.settings)
    if found is None or found.database != claim.database_of(around.settings):
        return None
    theirs = f"{found.base_url or around.settings.base_url}{found.mount}{found.prefix}"
    here = f"{around.settings.base_url}{around.registry_mount}"
    if theirs == here:
        return None
    return (
        f"The application {found.application} has its pages at {theirs}, and links in emails of "
        f"this command lead to {here}."
    )


@check(
    "BV033",
    Severity.WARNING,
    "Set BIENVENUE_MOUNT to the path that people see. If none of your servers sends that path, let "
    "the proxy remove X-Forwarded-Prefix.",
)
def requests_arrive_elsewhere(around: CheckupContext) -> str | None:
    """Find an application or requests of the last day under another path than the mount."""
    mount = around.core.mount
    leads = f"and links in emails lead to {mount or '/'}."
    if around.application_mount not in {None, mount}:
        return f"The application has APPLICATION_ROOT={around.application_mount}, {leads}"
    arrived = claim.last_arrival(around.settings)
    if arrived is None or arrived.mount == mount or clock.now() - arrived.at > NOTED_WITHIN:
        return None
    under = "a path that no link can have" if arrived.mount == "?" else arrived.mount or "/"
    return f"At {clock.written(arrived.at)} a request arrived under {under}, {leads}"
