"""The way out of the clients that stream: to which URLs, at which addresses, by which proxy, and whom they trust."""

import ssl
from collections.abc import Sequence

from keycairn.adapters.guarded_http.backend import Destination, Resolve, resolve
from keycairn.adapters.guarded_http.trust import Trust
from keycairn.adapters.httptools_upstream.addresses import judged, proxy_addresses
from keycairn.domain.egress import EgressPolicy
from keycairn.domain.egress_proxy import EgressProxy, goes_by_proxy
from keycairn.domain.errors import EgressRefusedError, UrlRefusedError
from keycairn.domain.url import Url, parse_target


class WayOut:
    """The rules by which connections are made.

    `lookup` and `tls` stand in for the system's resolver and certificates. `trust` says which authorities are good,
    `proxy` through what requests leave.
    """

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        lookup: Resolve = resolve,
        tls: ssl.SSLContext | None = None,
        trust: Trust | None = None,
        proxy: EgressProxy | None = None,
    ) -> None:
        self._policy = policy
        self._lookup = lookup
        self._trust = trust or Trust(given=tls)
        self._proxy = proxy

    def vetted(self, text: str, *, secret: bool) -> Url:
        """The URL, as far as it can be judged without DNS. Raises EgressRefusedError."""
        try:
            url = parse_target(text)
            self._policy.judge_url(url, secret=secret)
        except UrlRefusedError as error:
            raise EgressRefusedError(error.why) from None
        return url

    def proxy_to(self, url: Url) -> EgressProxy | None:
        """The proxy through which requests to `url` leave, None for those that do not."""
        return self._proxy if self._proxy is not None and goes_by_proxy(url) else None

    async def addresses(self, url: Url, *, secret: bool) -> Sequence[str]:
        """Where to connect to: judged addresses of `url`, or those of its proxy.

        Raises EgressRefusedError, or NotSentError when a name has no address.
        """
        proxy = self.proxy_to(url)
        if proxy is not None:
            return await proxy_addresses(proxy, self._lookup)
        return await judged(self._policy, Destination(url, secret), self._lookup)

    def tls(self, url: Url, authorities: str) -> ssl.SSLContext | None:
        """What a connection to `url` is encrypted with, None for plain HTTP. `authorities` are PEM, beside `trust`."""
        return self._trust.context(authorities) if url.scheme == "https" else None

    def may_be_ours(self, url: Url) -> bool:
        """Whether a name of a listener of ours is known at the URL's port: what a name resolves to does change."""
        return bool(self._policy.own_names(url.port))
