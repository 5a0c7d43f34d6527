/* Shared inside l0/gdb: the connection with its packets, and what is armed. */
#ifndef L0_GDB_GDB_PRIV_H
#define L0_GDB_GDB_PRIV_H

#include "l0/gdb/gdb.h"

#define GDB_SIGNAL_INT 2u
#define GDB_SIGNAL_TRAP 5u
#define GDB_SIGNAL_SEGV 11u

#define GDB_MAX_POINTS 64u
#define GDB_PACKET_BYTES 16384u

enum gdb_point_kind { POINT_SOFTWARE, POINT_HARDWARE, POINT_WRITE, POINT_READ, POINT_ACCESS };

struct gdb_point {
	enum gdb_point_kind kind;
	u64 addr;
	u32 len;
};

/* What the selected thread is, for registers and memory. */
struct gdb_view {
	struct vp *vp;
	bool live;		     /* it is what @vp executes: registers may be written */
	const struct cpu_state *cpu; /* &vp->cpu when live */
	struct vtlb_vp tlb; /* a copy with the thread's own paging context, for vtlb_peek() */
};

enum gdb_catch_kind { CATCH_EXIT, CATCH_ENTRY, CATCH_VMPTRLD, CATCH_FAILED_ENTRY, CATCH_VMFAIL };
#define CATCH_ANY 0xffffffffu
struct gdb_catch {
	enum gdb_catch_kind kind;
	u32 reason; /* of CATCH_EXIT */
	u32 level;
};
#define GDB_MAX_CATCHES 16u
/* Thread number of a guest's vCPU, from its number in events, and back. */
#define GDB_GUEST_THREAD 0x1000u

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
	bool stopped; /* set by whichever worker comes first */
	bool resumed;
	u32 lock;   /* 0: free; held to decide who stops the guest, and why */
	u64 thread; /* number of the thread that stopped, and that commands are about */
	bool is_caught;
	struct transition caught; /* what stopped it */
	u32 signal;
	bool watch_hit;
	struct gdb_point watch;
	u64 watch_addr;

	/* how it runs */
	u64 step_thread; /* 0: nobody steps */
	u64 step_insns;	 /* count of its processor as the step began; ~0: not yet */
	struct gdb_catch catch[GDB_MAX_CATCHES];
	u32 ncatches;
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
void gdb_out_u64(struct gdb *g, u64 v);		    /* as a number, in hex without leading zeros */
u32 gdb_parse_hex(const char *s, u8 *out, u32 max); /* Return: bytes */
u64 gdb_parse_u64(const char **s);
void gdb_disconnect(struct gdb *g);

/* guests.c */
u64 gdb_thread_of_vp(const struct gdb *g, u32 index); /* what the processor executes now */
u32 gdb_threads(const struct gdb *g, u64 *out, u32 max);
bool gdb_thread_exists(const struct gdb *g, u64 thread);
void gdb_thread_name(const struct gdb *g, u64 thread, char *buf, size_t bytes);
/* Return: false: the thread is no more. */
bool gdb_view(struct gdb *g, u64 thread, struct gdb_view *view);
/* Its vmcs12 as it is now: the current copy, or memory. Return: false: it has none. */
bool gdb_vmcs12(struct gdb *g, u64 thread, struct vmcs12 *v);

/* catch.c: general registers only */
bool gdb_stop_once(struct gdb *g, u64 thread, u32 signal); /* Return: nobody else did before */

/* monitor.c */
void gdb_monitor(struct gdb *g, const char *hex);
void gdb_tell_caught(struct gdb *g); /* a console packet that says what was caught */

/* target.c */
void gdb_read_registers(struct gdb *g);
bool gdb_write_registers(struct gdb *g, const char *hex);
bool gdb_read_register(struct gdb *g, u32 n);
bool gdb_write_register(struct gdb *g, u32 n, const char *hex);
bool gdb_read_memory(struct gdb *g, u64 addr, u32 len);
bool gdb_write_memory(struct gdb *g, u64 addr, const u8 *bytes, u32 len);
const char *gdb_target_xml(void);

#endif
