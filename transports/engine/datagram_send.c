/*
 * datagram_send.c: the batch that leaves, and what is done about each error.  See datagram.h.
 *
 * The kernel takes a message whole or not at all, and messages in order; the error is that of the oldest.  Each error is
 * answered by progress: something is dropped and counted, a run goes singly, one more try is allowed, or the caller is
 * told.  So no error makes a flush spin.
 */
#include "datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { INVALID_RUNS = 2 };	/* runs refused as invalid before no more are made */

size_t ve_datagrams_waiting(const struct ve_datagrams *d)
{
	return d->end - d->first;
}

/* ---- filling --------------------------------------------------------------------------------------------------- */

/* Move what waits to the front.  Only a full batch that left in part needs it. */
static void close_up(struct ve_datagrams *d)
{
	memmove(d->out, d->out + d->out_at, d->out_end - d->out_at);
	memmove(d->lengths, d->lengths + d->first, (d->end - d->first) * sizeof(d->lengths[0]));
	d->out_end -= d->out_at;
	d->end -= d->first;
	d->out_at = d->first = 0;
}

uint8_t *ve_datagrams_room(struct ve_datagrams *d, size_t size)
{
	d->room = 0;
	if (d->first == d->end)
		d->out_at = d->out_end = d->first = d->end = 0;
	if (size > d->largest || d->end - d->first == VE_DATAGRAM_BATCH ||
	    size > VE_DATAGRAM_OUT - (d->out_end - d->out_at))
		return NULL;
	if (d->end == VE_DATAGRAM_BATCH || size > VE_DATAGRAM_OUT - d->out_end)
		close_up(d);
	d->room = size;
	return d->out + d->out_end;
}

void ve_datagrams_put(struct ve_datagrams *d, size_t length)
{
	if (length && length <= d->room) {
		d->lengths[d->end++] = (uint16_t)length;
		d->out_end += length;
	}
	d->room = 0;
}

/* ---- what leaves ------------------------------------------------------------------------------------------------ */

/* The oldest `count` are settled. */
static void forget(struct ve_datagrams *d, size_t count)
{
	for (; count; count--) {
		d->out_at += d->lengths[d->first++];
		d->serial++;
	}
	if (d->first == d->end && !d->room)
		d->out_at = d->out_end = d->first = d->end = 0;
}

/* Datagrams from `at` on that leave as one message, and their bytes. */
static size_t run_of(const struct ve_datagrams *d, size_t at, size_t *bytes)
{
	size_t segment = d->lengths[at], count = 1;

	*bytes = segment;
	if (!(d->offload & VE_UDP_SEGMENT) || d->serial + (at - d->first) < d->singly)
		return 1;
	while (at + count < d->end && count < VE_DATAGRAM_RUN) {
		size_t length = d->lengths[at + count];

		if (length > segment || *bytes + length > VE_DATAGRAM_RUN_BYTES)
			break;
		*bytes += length;
		count++;
		if (length < segment)
			break;
	}
	return count;
}

static void ask_to_cut(struct msghdr *header, uint8_t *control, size_t segment)
{
	struct cmsghdr *message;
	uint16_t size = (uint16_t)segment;

	header->msg_control = control;
	header->msg_controllen = CMSG_SPACE(sizeof(size));
	message = CMSG_FIRSTHDR(header);
	message->cmsg_level = IPPROTO_UDP;
	message->cmsg_type = UDP_SEGMENT;
	message->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(message), &size, sizeof(size));
}

/* Messages of all that waits; how many. */
static unsigned int build(struct ve_datagrams *d)
{
	size_t at, count, bytes, offset = d->out_at;
	unsigned int n = 0;

	for (at = d->first; at < d->end; at += count, offset += bytes, n++) {
		count = run_of(d, at, &bytes);
		d->tx_count[n] = (uint16_t)count;
		d->tx_iov[n] = (struct iovec){.iov_base = d->out + offset, .iov_len = bytes};
		d->tx[n] = (struct mmsghdr){.msg_hdr = {.msg_iov = &d->tx_iov[n], .msg_iovlen = 1}};
		if (count > 1)
			ask_to_cut(&d->tx[n].msg_hdr, d->tx_control[n], d->lengths[at]);
	}
	return n;
}

/* The first `sent` messages left. */
static void settle(struct ve_datagrams *d, unsigned int sent)
{
	unsigned int i;

	if (d->serial < d->singly && d->fault == VE_RUN_INVALID) {	/* so it was the run that was not liked */
		d->fault = VE_RUN_ODD;
		if (++d->invalid_runs >= INVALID_RUNS)
			d->offload &= ~(unsigned int)VE_UDP_SEGMENT;
	}
	for (i = 0; i < sent; i++) {
		d->stats.tx_datagrams += d->tx_count[i];
		d->stats.tx_bytes += d->tx_iov[i].iov_len;
		d->stats.tx_segmented += d->tx_count[i] > 1;
		forget(d, d->tx_count[i]);
	}
}

/* ---- what does not ---------------------------------------------------------------------------------------------- */

static int drop(struct ve_datagrams *d, size_t count, uint64_t *counter)
{
	*counter += count;
	forget(d, count);
	return VE_OK;
}

/* Whether the oldest may be tried once more: an error may stem from what was sent before. */
static int first_time(struct ve_datagrams *d)
{
	int first = d->retried != d->serial + 1;

	d->retried = d->serial + 1;
	return first;
}

/* The oldest message is a run; its datagrams are sent singly.  None of it has left. */
static int go_singly(struct ve_datagrams *d, enum ve_datagram_run_fault fault)
{
	d->singly = d->serial + d->tx_count[0];
	d->fault = fault;
	d->stats.fallbacks++;
	return VE_OK;
}

/* Drop those at the front that cannot pass; 0: there is none. */
static int drop_too_large(struct ve_datagrams *d)
{
	int mtu = d->probing ? VE_ERROR : ve_datagrams_kernel_mtu(d);
	size_t overhead = d->six ? 48 : 28, count = 0;

	if (mtu <= 0)
		return 0;
	while (d->first + count < d->end && d->lengths[d->first + count] + overhead > (size_t)mtu)
		count++;
	drop(d, count, &d->stats.too_large);
	return count > 0;
}

/* ICMP that came before is reported here too, so a datagram that fits is tried again. */
static int on_too_large(struct ve_datagrams *d)
{
	d->mtu_changed = 1;
	d->fault = VE_RUN_ODD;	/* before 6.14 a run of those that are too large was called invalid */
	if (drop_too_large(d) || first_time(d))
		return VE_OK;
	if (d->tx_count[0] > 1)
		return go_singly(d, VE_RUN_ODD);
	return drop(d, 1, &d->stats.too_large);
}

/* The oldest message was refused.  VE_OK: go on. */
static int on_send_error(struct ve_datagrams *d, int error)
{
	size_t count = d->tx_count[0];

	switch (error) {
	case EINTR:
		return VE_OK;
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		d->stats.tx_full++;
		return VE_WANT_WRITE;
	case ENOBUFS:		/* the socket is writable all the same: without a bound the caller would spin */
	case ENOMEM:
		d->stats.tx_full++;
		return first_time(d) ? VE_WANT_WRITE : drop(d, count, &d->stats.no_buffers);
	case EMSGSIZE:
		return on_too_large(d);
	case EPERM:
		return drop(d, count, &d->stats.firewalled);
	case EIO:		/* the way out cannot cut */
	case EOPNOTSUPP:
	case ENOPROTOOPT:
		if (count == 1)
			break;
		d->offload &= ~(unsigned int)VE_UDP_SEGMENT;
		return go_singly(d, VE_RUN_ODD);
	case EINVAL:
		if (count == 1)
			break;
		return go_singly(d, VE_RUN_INVALID);
	case ECONNREFUSED:
		d->stats.refused++;
		break;
	default:
		break;
	}
	d->last_errno = error;
	return VE_ERROR;
}

int ve_datagrams_flush(struct ve_datagrams *d)
{
	while (d->first < d->end) {
		int sent = sendmmsg(d->fd, d->tx, build(d), MSG_DONTWAIT | MSG_NOSIGNAL);
		int rc = VE_OK;

		d->stats.tx_calls++;
		if (sent >= 0)
			settle(d, (unsigned int)sent);
		else
			rc = on_send_error(d, errno);
		if (rc != VE_OK)
			return rc;
	}
	return VE_OK;
}
