"""How other servers are reached: proxies and certificates, by the variables that other programs use too."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field, SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from bot.config.group import SettingsGroup
from bot.config.values import Valid, reveal
from bot.network import Network
from bot.network.certificates import has_certificates
from bot.network.direct_hosts import parse_no_proxy
from bot.network.proxies import Proxy, ProxyRules, parse_proxy


def _checked_proxy(value: SecretStr) -> SecretStr:
    parse_proxy(value.get_secret_value())
    return value


def _checked_no_proxy(text: str) -> str:
    parse_no_proxy(text)
    return text


def _paths(text: str) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for part in text.split(os.pathsep) if part)


def _checked_certificates(text: str) -> str:
    try:
        if sum(has_certificates(path) for path in _paths(text)):  # each is checked
            return text
    except (OSError, RuntimeError) as error:  # the latter for the home of an unknown user
        raise ValueError("no certificates") from error
    raise ValueError("folders without certificates")


ProxyAddress = Annotated[
    SecretStr | None,
    AfterValidator(lambda value: value and _checked_proxy(value)),
    Valid("a proxy's address such as http://proxy.example:3128 or socks5://127.0.0.1:1080"),
]
CertificatePaths = Annotated[
    str | None,
    AfterValidator(lambda text: text and _checked_certificates(text)),
    Valid("the path of a readable file (or folder) of certificates in PEM form"),
]


class NetworkSettings(SettingsGroup):
    """Which proxies to use, and which certificates to trust."""

    http_proxy: ProxyAddress = Field(
        None,
        description="the proxy for `http://` addresses: `http://`, `https://`, `socks5://` or `socks4://`, perhaps "
        "with `user:password@`; never used for this machine itself",
    )
    https_proxy: ProxyAddress = Field(
        None, description="the proxy for `https://` addresses, so for Slack and most providers"
    )
    all_proxy: ProxyAddress = Field(None, description="the proxy where neither of these is set")
    no_proxy: Annotated[
        str | None,
        AfterValidator(lambda text: text and _checked_no_proxy(text)),
        Valid(
            "host names, domains, addresses or networks such as .example.com, 10.0.0.0/8, [::1]:8080"
        ),
    ] = Field(
        None,
        description="what is reached without a proxy: hosts, domains, addresses, networks, each perhaps with `:port`; "
        "`*`: everything",
    )
    ssl_cert_file: CertificatePaths = Field(
        None,
        description="certificates (PEM) to trust in place of the system's file, such as a company's own",
    )
    ssl_cert_dir: CertificatePaths = Field(None, description="a folder of such certificates")
    requests_ca_bundle: CertificatePaths = Field(
        None, description="as `SSL_CERT_FILE`; trusted too"
    )
    curl_ca_bundle: CertificatePaths = Field(None, description="as `SSL_CERT_FILE`; trusted too")

    def network(self) -> Network:
        """How other servers are reached. Create it once: it keeps the certificates that it loads."""
        rules = ProxyRules(
            http=self._proxy(self.http_proxy),
            https=self._proxy(self.https_proxy),
            direct=parse_no_proxy(self.no_proxy or ""),
        )
        return Network(rules, tuple(self._certificates()))

    def proxy_passwords(self) -> tuple[str, ...]:
        """The passwords in the proxies' addresses, so that logs can mask them separately."""
        proxies = (self._proxy(self.http_proxy), self._proxy(self.https_proxy))
        return tuple(proxy.password for proxy in proxies if proxy and proxy.password)

    def _proxy(self, value: SecretStr | None) -> Proxy | None:
        text = reveal(value) or reveal(self.all_proxy)
        return parse_proxy(text) if text else None

    def _certificates(self) -> Iterator[Path]:
        for text in (
            self.ssl_cert_file,
            self.ssl_cert_dir,
            self.requests_ca_bundle,
            self.curl_ca_bundle,
        ):
            yield from _paths(text or "")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        *others: PydanticBaseSettingsSource,
        **named: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, _LowerCase(settings_cls), *others, *named.values()


class _LowerCase(PydanticBaseSettingsSource):
    """Reads `https_proxy` before `HTTPS_PROXY`, as most programs do; an empty one unsets it."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return os.environ.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {
            name: os.environ[name] for name in NetworkSettings.model_fields if name in os.environ
        }
