/*
 * abi.c: what this library was built as, for the check at load.
 */
#include "engine.h"

#include <openssl/crypto.h>
#include <stdio.h>

void ve_abi(struct ve_abi *out)
{
	*out = (struct ve_abi){
		.abi = VE_ABI,
		.sink_stats_size = sizeof(struct ve_sink_stats),
		.reader_stats_size = sizeof(struct ve_reader_stats),
		.pump_stats_size = sizeof(struct ve_pump_stats),
		.control_size = sizeof(struct ve_control),
		.tls_info_size = sizeof(struct ve_tls_info),
	};
	snprintf(out->openssl, sizeof(out->openssl), "%s", OpenSSL_version(OPENSSL_VERSION));
}
