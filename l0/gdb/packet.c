/* The remote serial protocol's packets: framing, checksums, acknowledgement, hex. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "l0/gdb/gdb_priv.h"

static const char digits[] = "0123456789abcdef";

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void gdb_disconnect(struct gdb *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
	g->no_ack = false;
	g->in_bytes = g->in_read = 0;
}

/* Next character, waiting; -1: gone. */
static int next_char(struct gdb *g)
{
	while (g->in_read == g->in_bytes) {
		struct pollfd p = {.fd = g->fd, .events = POLLIN};
		if (g->stop_wanted && g->stop_wanted(g->stop_arg))
			return -1;
		if (poll(&p, 1, 100) <= 0)
			continue;
		ssize_t n = read(g->fd, g->in, sizeof(g->in));
		if (n <= 0)
			return -1;
		g->in_bytes = (u32)n;
		g->in_read = 0;
	}
	return (u8)g->in[g->in_read++];
}

static bool send_all(struct gdb *g, const char *p, u32 n)
{
	while (n) {
		ssize_t sent = send(g->fd, p, n, MSG_NOSIGNAL);
		if (sent <= 0)
			return false;
		p += sent;
		n -= (u32)sent;
	}
	return true;
}

/* One packet into g->packet; a bad checksum is asked for again, one too long is cut. */
bool gdb_packet_get(struct gdb *g)
{
	for (;;) {
		int c = next_char(g);
		if (c < 0)
			return false;
		if (c != '$')
			continue; /* acknowledgements, and interrupts while we are stopped anyway */
		u8 sum = 0;
		u32 n = 0;
		while ((c = next_char(g)) >= 0 && c != '#') {
			sum = (u8)(sum + c);
			if (c == '}') {
				c = next_char(g);
				if (c < 0)
					return false;
				sum = (u8)(sum + c);
				c ^= 0x20;
			}
			if (n < sizeof(g->packet) - 1)
				g->packet[n++] = (char)c;
		}
		int hi = next_char(g), lo = next_char(g);
		if (c < 0 || hi < 0 || lo < 0)
			return false;
		bool good = (hex_digit((char)hi) << 4 | hex_digit((char)lo)) == sum;
		if (!g->no_ack && !send_all(g, good ? "+" : "-", 1))
			return false;
		if (!good)
			continue;
		g->packet[n] = 0;
		g->packet_bytes = n;
		g->out_bytes = 0;
		return true;
	}
}

void gdb_out(struct gdb *g, const char *text)
{
	u32 n = (u32)strlen(text);

	n = MIN(n, (u32)sizeof(g->out) - g->out_bytes);
	memcpy(g->out + g->out_bytes, text, n);
	g->out_bytes += n;
}

void gdb_out_hex(struct gdb *g, const void *bytes, u32 n)
{
	const u8 *b = bytes;

	for (u32 i = 0; i < n && g->out_bytes + 2 <= sizeof(g->out); i++) {
		g->out[g->out_bytes++] = digits[b[i] >> 4];
		g->out[g->out_bytes++] = digits[b[i] & 15];
	}
}

void gdb_out_u64(struct gdb *g, u64 v)
{
	char buf[17];
	u32 i = sizeof(buf) - 1;

	buf[i] = 0;
	do {
		buf[--i] = digits[v & 15];
		v >>= 4;
	} while (v);
	gdb_out(g, buf + i);
}

void gdb_packet_put(struct gdb *g)
{
	u8 sum = 0;
	char tail[3] = {'#'};

	for (u32 i = 0; i < g->out_bytes; i++)
		sum = (u8)(sum + g->out[i]);
	tail[1] = digits[sum >> 4];
	tail[2] = digits[sum & 15];
	if (!send_all(g, "$", 1) || !send_all(g, g->out, g->out_bytes) || !send_all(g, tail, 3))
		gdb_disconnect(g);
}

u32 gdb_parse_hex(const char *s, u8 *out, u32 max)
{
	u32 n = 0;

	while (n < max && hex_digit(s[0]) >= 0 && hex_digit(s[1]) >= 0) {
		out[n++] = (u8)(hex_digit(s[0]) << 4 | hex_digit(s[1]));
		s += 2;
	}
	return n;
}

u64 gdb_parse_u64(const char **s)
{
	u64 v = 0;

	for (; hex_digit(**s) >= 0; (*s)++)
		v = v << 4 | (u64)hex_digit(**s);
	return v;
}
