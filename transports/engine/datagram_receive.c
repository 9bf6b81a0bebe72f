/*
 * datagram_receive.c: several buffers a system call, and the datagrams in them.  See datagram.h.
 */
#include "datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

enum { RECEIVES = 4 };	/* system calls of one receive, while what comes is dropped or is an error about the MTU */

/* Bytes of each datagram in a message of `length` bytes.  A value that cannot be means one datagram. */
static size_t segment_of(struct msghdr *message, size_t length)
{
	struct cmsghdr *control;
	int size;

	for (control = CMSG_FIRSTHDR(message); control; control = CMSG_NXTHDR(message, control)) {
		if (control->cmsg_level != IPPROTO_UDP || control->cmsg_type != UDP_GRO ||
		    control->cmsg_len < CMSG_LEN(sizeof(size)))
			continue;
		memcpy(&size, CMSG_DATA(control), sizeof(size));
		if (size > 0 && (size_t)size < length)
			return (size_t)size;
	}
	return length;
}

/* One message that came: which datagrams of it are given out.  Of several joined only the last may be of another size. */
static void judge(struct ve_datagrams *d, unsigned int number)
{
	struct mmsghdr *message = &d->rx[number];
	size_t length = message->msg_len, segment = segment_of(&message->msg_hdr, length);
	size_t count = length ? (length + segment - 1) / segment : 1, dropped = 0;

	if (message->msg_hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		dropped = count = 1;	/* how many it were is not known */
	else if (segment > d->largest)
		dropped = length / segment;
	d->rx_segment[number] = segment;
	d->rx_at[number] = dropped * segment;
	d->rx_left[number] = count - dropped;
	d->in_waiting += (int)(count - dropped);
	d->stats.truncated += dropped;
	d->stats.rx_joined += count > 1;
	d->stats.rx_datagrams += count - dropped;
	if (count > dropped)
		d->stats.rx_bytes += length - dropped * segment;
}

static int on_receive_error(struct ve_datagrams *d, int error)
{
	switch (error) {
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return VE_WANT_READ;
	case EINTR:
		return VE_OK;
	case EMSGSIZE:		/* ICMP about what was sent */
		d->mtu_changed = 1;
		return VE_OK;
	case ECONNREFUSED:
		d->stats.refused++;
		break;
	default:
		break;
	}
	d->last_errno = error;
	return VE_ERROR;
}

int ve_datagrams_receive(struct ve_datagrams *d)
{
	unsigned int i;
	int tries, got, rc;

	for (tries = 0; tries < RECEIVES && !d->in_waiting; tries++) {
		for (i = 0; i < d->in_buffers; i++)
			d->rx[i].msg_hdr.msg_controllen = VE_DATAGRAM_CONTROL;	/* the kernel overwrote it */
		d->message = d->messages = 0;
		d->in_full = 0;
		d->stats.rx_calls++;
		got = recvmmsg(d->fd, d->rx, d->in_buffers, MSG_DONTWAIT, NULL);
		if (got < 0) {
			rc = on_receive_error(d, errno);
			if (rc != VE_OK)
				return rc;
			continue;
		}
		d->messages = (unsigned int)got;
		d->in_full = d->messages == d->in_buffers;
		for (i = 0; i < d->messages; i++)
			judge(d, i);
	}
	return d->in_waiting ? d->in_waiting : VE_WANT_READ;
}

int ve_datagrams_next(struct ve_datagrams *d, uint8_t **at, size_t *length)
{
	size_t left, segment;

	while (d->message < d->messages && !d->rx_left[d->message])
		d->message++;
	if (d->message >= d->messages)
		return VE_EMPTY;
	left = d->rx[d->message].msg_len - d->rx_at[d->message];
	segment = d->rx_segment[d->message];
	*at = (uint8_t *)d->rx_iov[d->message].iov_base + d->rx_at[d->message];
	*length = left < segment ? left : segment;
	d->rx_at[d->message] += *length;
	d->rx_left[d->message]--;
	d->in_waiting--;
	return VE_OK;
}

int ve_datagrams_more(const struct ve_datagrams *d)
{
	return d->in_full;
}
