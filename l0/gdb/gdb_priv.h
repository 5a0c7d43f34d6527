/* Shared inside l0/gdb: the connection with its packets, and what is armed. */
#ifndef L0_GDB_GDB_PRIV_H
#define L0_GDB_GDB_PRIV_H

#include "l0/gdb/gdb.h"

#define GDB_MAX_POINTS 64u
#define GDB_PACKET_BYTES 16384u

enum gdb_point_kind { POINT_SOFTWARE, POINT_HARDWARE, POINT_WRITE, POINT_READ, POINT_ACCESS };

struct gdb_point {
	enum gdb_point_kind kind;
	u64 addr;
	u32 len;
};

struct gdb {
	struct gdb_cpu *cpus;
	u32 ncpus;
	bool (*stop_wanted)(void *arg);
	void *stop_arg;
	int listen_fd, fd; /* fd -1: nobody is connected */
	bool no_ack;
	u64 next_poll_ns;

	struct gdb_point point[GDB_MAX_POINTS];
	u32 npoints;

	/* why the guest is stopped */
	bool stopped, resumed;
	u32 thread; /* index of the processor that stopped, and that commands are about */
	u32 signal;
	bool watch_hit;
	struct gdb_point watch;
	u64 watch_addr;

	/* how it runs */
	u32 step_thread; /* index + 1; 0: nobody steps */
	u64 resume_insns[64]; /* count at which each resumed: its breakpoint there is over */

	u32 in_bytes, in_read;
	char in[GDB_PACKET_BYTES];
	char packet[GDB_PACKET_BYTES]; /* the one being answered, unescaped, zero-terminated */
	u32 packet_bytes;
	u32 out_bytes;
	char out[2 * GDB_PACKET_BYTES];
};

/* packet.c. Return of gdb_packet_get: false: the connection is gone or the run ends. */
bool gdb_packet_get(struct gdb *g);
void gdb_packet_put(struct gdb *g);
void gdb_out(struct gdb *g, const char *text);
void gdb_out_hex(struct gdb *g, const void *bytes, u32 n);
void gdb_out_u64(struct gdb *g, u64 v); /* as a number, in hex without leading zeros */
u32 gdb_parse_hex(const char *s, u8 *out, u32 max); /* Return: bytes */
u64 gdb_parse_u64(const char **s);
void gdb_disconnect(struct gdb *g);

/* target.c */
void gdb_read_registers(struct gdb *g);
bool gdb_write_registers(struct gdb *g, const char *hex);
bool gdb_read_register(struct gdb *g, u32 n);
bool gdb_write_register(struct gdb *g, u32 n, const char *hex);
bool gdb_read_memory(struct gdb *g, u64 addr, u32 len);
bool gdb_write_memory(struct gdb *g, u64 addr, const u8 *bytes, u32 len);
const char *gdb_target_xml(void);

#endif
