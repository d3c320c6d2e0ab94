"""The tool ``fetch``: one page of the public web, where a person has allowed it.

A host is resolved once, all its addresses have to be public, and the connection goes to one of them: a name that means
another address a moment later changes nothing.  Each redirect is a new page to be checked.  No cookies, no credentials,
no proxies.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from holdfast.nodes.agent.documents import from_html, part_of
from holdfast.nodes.agent.reach import Reach
from holdfast.nodes.agent.tools import Desk, ToolRefused, tool

if TYPE_CHECKING:
    import httpx

SECONDS = 20.0  # for a page in all
LARGEST = 2 << 20  # bytes of a page
REDIRECTS = 5
KINDS = (
    "text/",
    "application/json",
    "application/xml",
    "application/xhtml+xml",
    "application/rss+xml",
    "+json",
    "+xml",
)
HEADERS = {"Accept": "text/html, text/*, application/json, application/xml", "Accept-Encoding": "identity"}
AGENT = "holdfast"


class Address(BaseModel):
    """Which page."""

    url: str = Field(max_length=4000, description="the whole address, with http:// or https://")
    offset: int = Field(0, ge=0, description="how many characters to leave out before it begins, as the last part said")


@dataclass(frozen=True, slots=True)
class Page:
    """What an address gave, as text, and the address that it came from."""

    url: str
    text: str


@tool("fetch")
async def fetch(arguments: Address, desk: Desk) -> str:
    """Fetches a page of the public web as text, up to 10,000 characters from an offset."""
    if desk.reach is None or desk.reach.is_off:
        raise ToolRefused("fetching pages is off here; a person allows it with HOLDFAST_FETCH")
    page = await fetched(arguments.url, desk.reach)
    return f"{page.url}\n{part_of(page.text, arguments.offset)}"


async def fetched(url: str, reach: Reach) -> Page:
    """The page; raises ToolRefused where it may not be reached, is too slow or too large, or is no text."""
    try:
        async with asyncio.timeout(SECONDS):
            for _ in range(REDIRECTS + 1):
                got = await _once(url, reach)
                if isinstance(got, Page):
                    return got
                url = got
    except TimeoutError:
        raise ToolRefused(f"the page did not come within {SECONDS:g} s") from None
    raise ToolRefused(f"the page was redirected more than {REDIRECTS} times")


async def _once(url: str, reach: Reach) -> Page | str:
    """The page, or where it was moved to."""
    import httpx  # noqa: PLC0415  it takes a while to load

    try:
        target = httpx.URL(url)
    except (httpx.InvalidURL, ValueError, UnicodeError):
        raise ToolRefused("this is no address that can be read") from None
    addresses = await _checked(target, reach)
    fault: Exception | None = None
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS) as client:
        for address in addresses:
            try:
                return await _read(client, target, address)
            except httpx.ConnectError as error:
                fault = error
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                raise ToolRefused(f"{target.host} did not answer properly: {type(error).__name__}") from None
    raise ToolRefused(f"{target.host} cannot be reached: {fault}")


async def _checked(target: httpx.URL, reach: Reach) -> list[str]:
    """The addresses of a page's host, all of them public; raises ToolRefused."""
    if target.scheme not in ("http", "https") or not target.host:
        raise ToolRefused("only addresses with http:// or https:// can be fetched")
    if target.userinfo:
        raise ToolRefused("an address with a name or a password in it is not fetched")
    if not reach.allows(target.host):
        raise ToolRefused(f"{target.host} is not among the hosts that may be reached")
    try:
        addresses = list(await reach.resolve(target.host, target.port or (443 if target.scheme == "https" else 80)))
    except (OSError, UnicodeError, ValueError):
        raise ToolRefused(f"there is no host {target.host[:200]!r}") from None
    if not addresses or not all(map(reach.public, addresses)):
        raise ToolRefused(f"{target.host} is not an address of the public Internet")
    return addresses


async def _read(client: httpx.AsyncClient, target: httpx.URL, address: str) -> Page | str:
    """One request to that very address, in the host's name."""
    host = target.netloc.decode("ascii")
    headers = {**HEADERS, "Host": host, "User-Agent": AGENT}
    extensions = {"sni_hostname": target.host.rstrip(".")}
    request = client.build_request("GET", target.copy_with(host=address), headers=headers, extensions=extensions)
    response = await client.send(request, stream=True)
    try:
        if response.has_redirect_location:
            return str(target.join(response.headers["location"]))
        if not response.is_success:
            raise ToolRefused(f"{target.host} answered {response.status_code}")
        return Page(str(target), await _as_text(await _body(response), response.headers, response.charset_encoding))
    finally:
        await response.aclose()


async def _body(response: httpx.Response) -> bytes:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind.startswith(KINDS[:5]) and not kind.endswith(KINDS[5:]):
        raise ToolRefused(f"it is not text but {kind[:100] or 'of no stated kind'}")
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise ToolRefused("it is compressed, which was not asked for")
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LARGEST:
            raise ToolRefused(f"it is larger than {LARGEST >> 20} MB")
    return bytes(body)


async def _as_text(body: bytes, headers: Mapping[str, str], charset: str | None) -> str:
    try:
        text = body.decode(charset or "utf-8", "replace")
    except LookupError:
        text = body.decode("utf-8", "replace")
    return await from_html(text) if "html" in headers.get("content-type", "").lower() else text
