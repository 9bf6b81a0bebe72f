"""The real IpHelper: iphlpapi, dnsapi and userenv through cffi, rows as bytes.  64-bit processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vpnclient.host.windows.api import InterfaceDns
from vpnclient.host.windows.library import FunctionMissing, Library
from vpnclient.host.windows.rows import (
    AF_UNSPEC,
    DNS_DOMAIN,
    DNS_IPV6,
    DNS_NAMESERVER,
    DNS_REGISTRATION,
    DNS_SEARCHLIST,
    MAX_ROWS,
    SOCKADDR_INET,
    TABLE_HEAD,
    AddressRow,
    RouteRow,
    pack_dns_settings,
)

if TYPE_CHECKING:
    from cffi import FFI

_DECLARATIONS = """
uint32_t ConvertInterfaceAliasToLuid(const wchar_t *alias, uint64_t *luid);
uint32_t ConvertInterfaceLuidToGuid(const uint64_t *luid, uint8_t *guid);
uint32_t GetIpInterfaceEntry(uint8_t *row);
uint32_t SetIpInterfaceEntry(uint8_t *row);
uint32_t GetUnicastIpAddressTable(uint16_t family, uint8_t **table);
void InitializeUnicastIpAddressEntry(uint8_t *row);
uint32_t CreateUnicastIpAddressEntry(const uint8_t *row);
uint32_t DeleteUnicastIpAddressEntry(const uint8_t *row);
uint32_t GetIpForwardTable2(uint16_t family, uint8_t **table);
void InitializeIpForwardEntry(uint8_t *row);
uint32_t CreateIpForwardEntry2(const uint8_t *row);
uint32_t DeleteIpForwardEntry2(const uint8_t *row);
uint32_t GetBestRoute2(uint64_t *luid, uint32_t index, const uint8_t *source, const uint8_t *destination,
                       uint32_t options, uint8_t *route, uint8_t *best_source);
void FreeMibTable(void *table);
uint32_t SetInterfaceDnsSettings(const uint8_t *guid, const uint8_t *settings);
"""
_NEEDED = (
    "ConvertInterfaceAliasToLuid",
    "ConvertInterfaceLuidToGuid",
    "GetIpInterfaceEntry",
    "SetIpInterfaceEntry",
    "GetUnicastIpAddressTable",
    "InitializeUnicastIpAddressEntry",
    "CreateUnicastIpAddressEntry",
    "DeleteUnicastIpAddressEntry",
    "GetIpForwardTable2",
    "InitializeIpForwardEntry",
    "CreateIpForwardEntry2",
    "DeleteIpForwardEntry2",
    "GetBestRoute2",
    "FreeMibTable",
)
_RP_FORCE = 1


class Iphlpapi:
    """IpHelper of this Windows.  Raises FunctionMissing if there is no such library."""

    def __init__(self) -> None:
        self._library = Library("iphlpapi.dll", _DECLARATIONS)
        self._ffi = self._library.ffi

    def require(self) -> None:
        self._library.require(*_NEEDED)

    def luid_of_alias(self, alias: str) -> tuple[int, int]:
        luid = self._ffi.new("uint64_t *")
        code = self._library.call("ConvertInterfaceAliasToLuid", alias, luid)
        return code, int(luid[0])

    def guid_of_luid(self, luid: int) -> tuple[int, bytes]:
        guid = self._ffi.new("uint8_t[16]")
        code = self._library.call("ConvertInterfaceLuidToGuid", self._ffi.new("uint64_t *", luid), guid)
        return code, bytes(guid)

    def get_interface(self, row: bytearray) -> int:
        return self._on_row("GetIpInterfaceEntry", row)

    def set_interface(self, row: bytearray) -> int:
        return self._on_row("SetIpInterfaceEntry", row)

    def addresses(self) -> tuple[int, bytes]:
        return self._table("GetUnicastIpAddressTable", AddressRow.SIZE)

    def initialize_address(self, row: bytearray) -> None:
        self._initialize("InitializeUnicastIpAddressEntry", row)

    def create_address(self, row: bytearray) -> int:
        return self._on_row("CreateUnicastIpAddressEntry", row)

    def delete_address(self, row: bytearray) -> int:
        return self._on_row("DeleteUnicastIpAddressEntry", row)

    def routes(self) -> tuple[int, bytes]:
        return self._table("GetIpForwardTable2", RouteRow.SIZE)

    def initialize_route(self, row: bytearray) -> None:
        self._initialize("InitializeIpForwardEntry", row)

    def create_route(self, row: bytearray) -> int:
        return self._on_row("CreateIpForwardEntry2", row)

    def delete_route(self, row: bytearray) -> int:
        return self._on_row("DeleteIpForwardEntry2", row)

    def best_route(self, destination: bytes, row: bytearray) -> int:
        nothing, source = self._ffi.NULL, self._ffi.new("uint8_t[]", SOCKADDR_INET)
        where = self._ffi.new("uint8_t[]", destination)
        return self._library.call("GetBestRoute2", nothing, 0, nothing, where, 0, self._buffer(row), source)

    def set_interface_dns(self, guid: bytes, settings: InterfaceDns) -> int:
        texts = [self._ffi.new("wchar_t[]", text) for text in (settings.domain, settings.servers, settings.search)]
        addresses = [int(self._ffi.cast("uintptr_t", text)) for text in texts]
        flags = DNS_NAMESERVER | DNS_SEARCHLIST | DNS_REGISTRATION | DNS_DOMAIN
        data = pack_dns_settings(flags | (DNS_IPV6 if settings.version == 6 else 0), *addresses)
        row = self._ffi.new("uint8_t[]", data)  # the GUID goes by value, which is by pointer here: it is too large
        return self._library.call("SetInterfaceDnsSettings", self._ffi.new("uint8_t[16]", guid), row)

    def flush_dns(self) -> None:
        try:
            Library("dnsapi.dll", "int DnsFlushResolverCache(void);").call("DnsFlushResolverCache")
        except FunctionMissing:
            return  # answers in the cache end by themselves

    def refresh_policy(self) -> bool:
        try:
            userenv = Library("userenv.dll", "int RefreshPolicyEx(int machine, uint32_t options);")
            return bool(userenv.call("RefreshPolicyEx", 1, _RP_FORCE))
        except FunctionMissing:
            return False

    def _buffer(self, row: bytearray) -> FFI.CData:
        return self._ffi.from_buffer("uint8_t[]", row)

    def _on_row(self, function: str, row: bytearray) -> int:
        return self._library.call(function, self._buffer(row))

    def _initialize(self, function: str, row: bytearray) -> None:
        self._library.call_pointer(function, self._buffer(row))

    def _table(self, function: str, size: int) -> tuple[int, bytes]:
        table = self._ffi.new("uint8_t **")
        code = self._library.call(function, AF_UNSPEC, table)
        if code:
            return code, b""
        try:
            count = min(int.from_bytes(self._ffi.buffer(table[0], 4), "little"), MAX_ROWS)
            return 0, bytes(self._ffi.buffer(table[0], TABLE_HEAD + count * size))
        finally:
            self._library.call_pointer("FreeMibTable", table[0])
