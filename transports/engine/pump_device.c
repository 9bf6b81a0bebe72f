/*
 * pump_device.c: the packets that a pump reads from its device, super-packets cut into those they stand for.
 * Source: linux-tun notes, sections 1.1, 4 and 9.
 */
#include "pump.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	MAX_DEVICE_FAILURES = 16	/* reads that fail in a row before the device counts as gone */
};

/* One read; what it says, of bytes behind the virtio header. */
static ssize_t read_device(struct ve_pump *p, uint8_t *vnet)
{
	struct iovec iov[2] = {{.iov_base = vnet, .iov_len = VE_VNET_SIZE},
			       {.iov_base = p->device + VE_HEADROOM, .iov_len = VE_SUPER_PACKET + 1}};
	ssize_t got;

	p->stats.device_reads++;
	if (!(p->offload & VE_TUN_VNET))
		return read(p->tun_fd, iov[1].iov_base, iov[1].iov_len);
	got = readv(p->tun_fd, iov, 2);
	if (got <= 0)
		return got;
	if (got > VE_VNET_SIZE)
		return got - VE_VNET_SIZE;
	memset(vnet, 0xff, VE_VNET_SIZE);	/* shorter than it, or nothing behind it: a lie in any case */
	return 1;
}

/* A super-packet is left to be cut, an ordinary packet is made whole.  1: the latter. */
static int on_vnet(struct ve_pump *p, const uint8_t *vnet, size_t length, size_t mtu)
{
	int rc = ve_segments_begin(&p->segments, vnet, p->device + VE_HEADROOM, length);

	p->stats.tun_bad_vnet += rc == VE_ERROR;
	if (rc != VE_OK)
		return rc == VE_EMPTY;
	p->stats.super_packets++;
	if (ve_segments_largest(&p->segments) > mtu) {
		p->stats.dropped_tx_oversize += ve_segments_count(&p->segments);
		p->segments = (struct ve_segments){0};
	}
	return 0;
}

/* Bytes of packet in device, 0: nothing usable came, or a super-packet, or VE_EMPTY. */
static int read_packet(struct ve_pump *p, size_t mtu)
{
	uint8_t vnet[VE_VNET_SIZE];
	ssize_t got = read_device(p, vnet);
	size_t length;

	if (got > 0) {
		p->device_failures = 0;
		if (p->offload & VE_TUN_VNET && !on_vnet(p, vnet, (size_t)got, mtu))
			return 0;
		length = ve_ip_length(p->device + VE_HEADROOM, (size_t)got);
		p->stats.dropped_tx_oversize += (size_t)got > mtu;
		p->stats.dropped_tx_not_ip += (size_t)got <= mtu && !length;
		return (size_t)got > mtu ? 0 : (int)length;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EAGAIN ? VE_EMPTY : 0;
	p->stats.device_read_errors++;
	if (got == 0 || errno == EBADFD || errno == EBADF || errno == ENODEV ||
	    ++p->device_failures >= MAX_DEVICE_FAILURES)
		ve_pump_fail_device(p);
	return VE_EMPTY;
}

int ve_pump_next_packet(struct ve_pump *p, size_t mtu, uint8_t *segment, uint8_t **packet)
{
	if (!ve_segments_left(&p->segments)) {
		int length = read_packet(p, mtu);

		*packet = p->device + VE_HEADROOM;
		if (length || !ve_segments_left(&p->segments))
			return length;
	}
	*packet = segment;
	return (int)ve_segments_next(&p->segments, segment);
}
