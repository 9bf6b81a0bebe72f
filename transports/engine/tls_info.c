/* tls_info.c: what can be asked of a connection; changes nothing, does no I/O. */
#include "tls.h"

#include "tls_internal.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* Certificate `index` of the peer, borrowed, or NULL.  libssl leaves the leaf out of the chain on a server. */
static X509 *peer_certificate(const struct ve_tls *tls, size_t index)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(tls->ssl);

	if (tls->server && index-- == 0)
		return SSL_get0_peer_certificate(tls->ssl);
	return chain && index < (size_t)sk_X509_num(chain) ? sk_X509_value(chain, (int)index) : NULL;
}

int ve_tls_peer_certificate(struct ve_tls *tls, size_t index, uint8_t *out, size_t size)
{
	X509 *certificate = peer_certificate(tls, index);
	unsigned char *at = out;
	int length;

	if (!certificate)
		return VE_EMPTY;
	length = i2d_X509(certificate, NULL);
	if (length <= 0)
		return VE_EMPTY;
	if ((size_t)length > size)
		return VE_FULL;
	return i2d_X509(certificate, &at);
}

void ve_tls_info(struct ve_tls *tls, struct ve_tls_info *out)
{
	const char *cipher = SSL_get_cipher_name(tls->ssl);

	memset(out, 0, sizeof(*out));
	snprintf(out->version, sizeof(out->version), "%s", SSL_get_version(tls->ssl));
	snprintf(out->cipher, sizeof(out->cipher), "%s", cipher ? cipher : "");
	while (peer_certificate(tls, out->peer_chain))
		out->peer_chain++;
	out->verify_error = tls->judged.fault_count ? tls->judged.faults[0] : 0;
	out->verify_depth = tls->judged.fault_depth;
	out->client_certificate_asked = (uint32_t)tls->asked;
	out->client_certificate_sent = tls->asked && SSL_get_certificate(tls->ssl);
	out->reused = (uint32_t)SSL_session_reused(tls->ssl);
}

int ve_tls_export(struct ve_tls *tls, const char *label, uint8_t *out, size_t length)
{
	ERR_clear_error();
	if (tls->established && SSL_export_keying_material(tls->ssl, out, length, label, strlen(label), NULL, 0, 0) == 1)
		return VE_OK;
	tls_error_text(tls->error, sizeof(tls->error), "export");
	return VE_ERROR;
}

int ve_tls_finished(struct ve_tls *tls, uint8_t *out, size_t size)
{
	uint8_t finished[EVP_MAX_MD_SIZE];
	size_t length = SSL_get_finished(tls->ssl, finished, sizeof(finished));
	int result = length == 0 ? VE_EMPTY : VE_FULL;

	if (length > 0 && length <= size) {
		memcpy(out, finished, length);
		result = (int)length;
	}
	OPENSSL_cleanse(finished, sizeof(finished));
	return result;
}

const char *ve_tls_error(const struct ve_tls *tls)
{
	return tls->error;
}

int ve_tls_failure(const struct ve_tls *tls)
{
	return tls->failure;
}

int ve_tls_alert(const struct ve_tls *tls)
{
	return tls->alert;
}

int ve_tls_fd(const struct ve_tls *tls)
{
	return tls->pipe.fd;
}

size_t ve_tls_buffered_out(const struct ve_tls *tls)
{
	return tls_pipe_waiting(&tls->pipe);
}

int ve_tls_record_read(const struct ve_tls *tls)
{
	return tls->taken.on ? tls->taken.left == 0 : SSL_pending(tls->ssl) == 0;
}

int ve_tls_has_input(const struct ve_tls *tls)
{
	if (tls->taken.on)
		return !tls->dead && tls_taken_has_input(tls);
	return !tls->dead && (tls->pipe.in_at < tls->pipe.in_end || SSL_pending(tls->ssl) > 0);
}

uint64_t ve_tls_recv_calls(const struct ve_tls *tls)
{
	return tls->pipe.recvs;
}

uint64_t ve_tls_send_calls(const struct ve_tls *tls)
{
	return tls->pipe.sends;
}
