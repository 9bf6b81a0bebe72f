"""The lab: small gateways to try and test against, in network namespaces of their own.  For Linux."""
