"""Configures a Windows host: the adapter by iphlpapi, name resolution by the adapter's servers and by NRPT rules.

    host.py       WindowsHost, a HostConfig: the order of things
    stack.py      interface, addresses, routes as values; Windows' error codes as reactions
    dns.py        an adapter's name servers, split DNS by rules of the registry
    undo.py       Windows' journal entries, undone
    api.py        the seams: IpHelper and Registry as protocols
    rows.py       Windows' structures by their offsets
    iphlpapi.py   the real IpHelper           registry.py   the real Registry
    library.py    a DLL whose functions are looked up when they are called

Nothing of Windows is called at import: every file is imported and tested elsewhere too.
"""
