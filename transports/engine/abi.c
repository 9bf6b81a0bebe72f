/*
 * abi.c: what this library was built as, for the check at load; and what it asks for its process.
 */
#include "engine.h"

#include <openssl/crypto.h>
#include <stdio.h>
#ifdef __linux__
#include <sys/prctl.h>
#include <sys/resource.h>
#endif

void ve_abi(struct ve_abi *out)
{
	*out = (struct ve_abi){
		.abi = VE_ABI,
		.sink_stats_size = sizeof(struct ve_sink_stats),
		.reader_stats_size = sizeof(struct ve_reader_stats),
		.pump_stats_size = sizeof(struct ve_pump_stats),
		.control_size = sizeof(struct ve_control),
		.tls_info_size = sizeof(struct ve_tls_info),
		.datagram_stats_size = sizeof(struct ve_datagram_stats),
		.dtls_info_size = sizeof(struct ve_dtls_info),
		.dtls_stats_size = sizeof(struct ve_dtls_stats),
		.dtls_settings_size = sizeof(struct ve_dtls_settings),
	};
	snprintf(out->openssl, sizeof(out->openssl), "%s", OpenSSL_version(OPENSSL_VERSION));
}

int ve_forbid_core_dumps(void)
{
#ifdef __linux__
	struct rlimit none = {0, 0};

	/* The limit alone does not hold where core_pattern is a pipe (core(5)). */
	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return VE_ERROR;
#endif
	return VE_OK;
}
