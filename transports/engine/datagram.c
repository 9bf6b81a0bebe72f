/*
 * datagram.c: a datagram socket's life and its options.  See datagram.h.
 */
#include "datagram.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

enum {
	JOINED_SIZE = 65536,			/* bytes: the largest that comes joined */
	STAGGER = 2048 + 64,			/* bytes between buffers, lest all begin in the same sets of the cache */
	IN_BYTES = VE_DATAGRAM_IN_JOINED * (JOINED_SIZE + STAGGER),
	MTU_MIN = 576, MTU_MIN_SIX = 1280	/* bytes: smaller reports are not believed */
};

/* Kernels that may send corrupt datagrams when they cut (linux-tun notes, Q9). */
static int cuts_badly(void)
{
	struct utsname name;
	int major, minor, patch = 0;

	if (uname(&name) || sscanf(name.release, "%d.%d.%d", &major, &minor, &patch) < 2)
		return 0;
	return major == 7 && (minor == 0 || (minor == 1 && patch <= 4));
}

/* Asked, not tried: a kernel without it sends a run as one datagram (Q8). */
static unsigned int supported(int fd)
{
	int value, one = 1;
	socklen_t size = sizeof(value);
	unsigned int found = 0;

	if (!getsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &value, &size) && !cuts_badly())
		found |= VE_UDP_SEGMENT;
	if (!setsockopt(fd, IPPROTO_UDP, UDP_GRO, &one, sizeof(one)))
		found |= VE_UDP_JOINED;
	return found;
}

static int discover(const struct ve_datagrams *d, int how)
{
	if (d->six)
		return setsockopt(d->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &how, sizeof(how));
	return setsockopt(d->fd, IPPROTO_IP, IP_MTU_DISCOVER, &how, sizeof(how));
}

void ve_datagrams_buffers(struct ve_datagrams *d)
{
	unsigned int i;

	if (d->offload & VE_UDP_JOINED) {
		d->in_size = JOINED_SIZE;
		d->in_stride = JOINED_SIZE + STAGGER;
	} else {
		d->in_size = d->largest;
		d->in_stride = (d->largest + 63) & ~(size_t)63;
	}
	d->in_buffers = (unsigned int)(IN_BYTES / d->in_stride);
	if (d->in_buffers > VE_DATAGRAM_IN)
		d->in_buffers = VE_DATAGRAM_IN;
	for (i = 0; i < d->in_buffers; i++) {
		d->rx_iov[i] = (struct iovec){.iov_base = d->in + i * d->in_stride, .iov_len = d->in_size};
		d->rx[i].msg_hdr = (struct msghdr){.msg_iov = &d->rx_iov[i], .msg_iovlen = 1,
						   .msg_control = d->rx_control[i]};
	}
}

static struct ve_datagrams *give_up(struct ve_datagrams *d, char *err, size_t err_size, const char *what)
{
	snprintf(err, err_size, "datagrams: %s", what);
	ve_datagrams_free(d);
	return NULL;
}

struct ve_datagrams *ve_datagrams_new(int fd, size_t largest, char *err, size_t err_size)
{
	struct ve_datagrams *d;
	int family = 0, type = 0;
	socklen_t size = sizeof(family);

	if (largest == 0 || largest > VE_DATAGRAM_MAX)
		return give_up(NULL, err, err_size, "the largest is no size of a datagram, want 1 to 65535 bytes");
	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &size) || (family != AF_INET && family != AF_INET6))
		return give_up(NULL, err, err_size, "the descriptor is no IP socket");
	size = sizeof(type);
	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) || type != SOCK_DGRAM)
		return give_up(NULL, err, err_size, "the socket is not UDP's");
	d = calloc(1, sizeof(*d));
	if (!d)
		return give_up(NULL, err, err_size, "out of memory");
	d->fd = fd;
	d->six = family == AF_INET6;
	d->largest = largest;
	d->out = malloc(VE_DATAGRAM_OUT);
	d->in = malloc(IN_BYTES);
	if (!d->out || !d->in)
		return give_up(d, err, err_size, "out of memory for a batch");
	if (discover(d, IP_PMTUDISC_DO))
		return give_up(d, err, err_size, "path MTU discovery was refused");
	d->supported = d->offload = supported(fd);
	ve_datagrams_buffers(d);
	return d;
}

void ve_datagrams_free(struct ve_datagrams *d)
{
	if (!d)
		return;
	free(d->out);
	free(d->in);
	free(d);
}

unsigned int ve_datagrams_offload(struct ve_datagrams *d, unsigned int allowed)
{
	unsigned int wanted = d->supported & allowed;
	int joined = (wanted & VE_UDP_JOINED) != 0;

	if ((d->offload ^ wanted) & VE_UDP_JOINED) {	/* the buffers must not change under datagrams that wait */
		if (d->in_waiting || setsockopt(d->fd, IPPROTO_UDP, UDP_GRO, &joined, sizeof(joined)))
			wanted ^= VE_UDP_JOINED;
	}
	d->offload = wanted;
	if (!d->in_waiting)
		ve_datagrams_buffers(d);
	return d->offload;
}

int ve_datagrams_kernel_mtu(const struct ve_datagrams *d)
{
	int mtu = 0;
	socklen_t size = sizeof(mtu);

	if (getsockopt(d->fd, d->six ? IPPROTO_IPV6 : IPPROTO_IP, d->six ? IPV6_MTU : IP_MTU, &mtu, &size))
		return VE_ERROR;
	return mtu;
}

int ve_datagrams_mtu(struct ve_datagrams *d)
{
	int mtu = ve_datagrams_kernel_mtu(d), least = d->six ? MTU_MIN_SIX : MTU_MIN;

	if (mtu == VE_ERROR) {
		d->last_errno = errno;
		return VE_ERROR;
	}
	return mtu < least ? least : mtu;
}

int ve_datagrams_mtu_changed(struct ve_datagrams *d)
{
	int changed = d->mtu_changed;

	d->mtu_changed = 0;
	return changed;
}

int ve_datagrams_probe(struct ve_datagrams *d, int on)
{
	if (discover(d, on ? IP_PMTUDISC_PROBE : IP_PMTUDISC_DO)) {
		d->last_errno = errno;
		return VE_ERROR;
	}
	d->probing = on != 0;
	return VE_OK;
}

int ve_datagrams_errno(const struct ve_datagrams *d)
{
	return d->last_errno;
}

void ve_datagrams_stats(const struct ve_datagrams *d, struct ve_datagram_stats *out)
{
	*out = d->stats;
}
