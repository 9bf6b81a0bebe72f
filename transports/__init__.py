"""What moves bytes and packets: TLS, HTTP, proxies, TUN and the native engine.  Knows no VPN maker."""
