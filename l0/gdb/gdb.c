#include "l0/gdb/gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "l0/arch/x86.h"
#include "l0/gdb/gdb_priv.h"

#define GDB_MAX_THREADS 1024u
#define POLL_PERIOD_NS NS_PER_MS

/* ---- connection ---- */

struct gdb *gdb_open(u16 port, struct gdb_cpu *cpus, u32 n, bool (*stop_wanted)(void *arg),
		     void *arg, int *err)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct gdb *g = calloc(1, sizeof(*g));
	int one = 1;

	*err = -ENOMEM;
	if (!g)
		return NULL;
	g->cpus = cpus;
	g->ncpus = MIN(n, (u32)ARRAY_SIZE(g->resume_insns));
	g->stop_wanted = stop_wanted;
	g->stop_arg = arg;
	g->fd = -1;
	g->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (g->listen_fd < 0)
		goto fail;
	setsockopt(g->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(g->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(g->listen_fd, 1))
		goto fail;
	*err = 0;
	return g;
fail:
	*err = -errno;
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	free(g);
	return NULL;
}

void gdb_close(struct gdb *g)
{
	if (!g)
		return;
	if (g->fd >= 0) {
		g->out_bytes = 0;
		gdb_out(g, "W00");
		gdb_packet_put(g);
	}
	gdb_disconnect(g);
	close(g->listen_fd);
	free(g);
}

static bool readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, timeout_ms) > 0;
}

/* Take a debugger that waits; it expects a stopped target. */
static bool accept_one(struct gdb *g, int timeout_ms)
{
	int one = 1;

	if (g->fd >= 0 || !readable(g->listen_fd, timeout_ms))
		return false;
	g->fd = accept4(g->listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (g->fd < 0)
		return false;
	setsockopt(g->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	gdb_stop_once(g, 1, GDB_SIGNAL_TRAP);
	return true;
}

void gdb_wait(struct gdb *g)
{
	while (!accept_one(g, 100))
		if (g->stop_wanted && g->stop_wanted(g->stop_arg))
			return;
	gdb_serve(g);
}

bool gdb_poll(struct gdb *g)
{
	struct timespec ts;
	char c;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	u64 now = (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
	if (now < g->next_poll_ns)
		return false;
	g->next_poll_ns = now + POLL_PERIOD_NS;
	if (g->fd < 0)
		return accept_one(g, 0);
	if (!readable(g->fd, 0))
		return false;
	if (read(g->fd, &c, 1) <= 0) {
		gdb_disconnect(g);
		return false;
	}
	if (c != 3)
		return false;
	gdb_stop_once(g, gdb_thread_exists(g, g->thread) ? g->thread : 1, GDB_SIGNAL_INT);
	return true;
}

/* ---- stops ---- */

static u32 index_of(const struct gdb *g, const struct vp *vp)
{
	for (u32 i = 0; i < g->ncpus; i++)
		if (g->cpus[i].vp == vp)
			return i;
	return 0;
}

static u64 linear_rip(const struct vp *vp)
{
	bool code64 = (vp->cpu.efer & EFER_LMA) && (vp->cpu.seg[SEG_CS].ar & SEG_AR_L);

	return code64 ? vp->cpu.rip : (u32)(vp->cpu.seg[SEG_CS].base + vp->cpu.rip);
}

bool gdb_on_exec(struct gdb *g, struct vp *vp)
{
	u32 i = index_of(g, vp);

	if (gdb_is_stopped(g))
		return false;
	u64 thread = gdb_thread_of_vp(g, i);
	if (g->step_thread == thread) {
		/* its first instruction since; what its processor did for others meanwhile is no
		 * step */
		if (g->step_insns == ~0ull)
			g->step_insns = vp->insns;
		if (g->step_insns == vp->insns)
			return true;
		gdb_stop_once(g, thread, GDB_SIGNAL_TRAP);
		return false;
	}
	if (vp->insns == g->resume_insns[i])
		return true;
	g->resume_insns[i] = ~0ull;
	u64 rip = linear_rip(vp);
	for (u32 p = 0; p < g->npoints; p++)
		if (g->point[p].kind <= POINT_HARDWARE &&
		    (g->point[p].addr == rip || g->point[p].addr == vp->cpu.rip)) {
			gdb_stop_once(g, thread, GDB_SIGNAL_TRAP);
			return false;
		}
	return true;
}

void gdb_on_access(struct gdb *g, struct vp *vp, u64 gva, u32 size, bool write)
{
	for (u32 i = 0; i < g->npoints; i++) {
		const struct gdb_point *p = &g->point[i];
		if (p->kind < POINT_WRITE || (p->kind == POINT_WRITE && !write) ||
		    (p->kind == POINT_READ && write))
			continue;
		if (gva + size <= p->addr || gva >= p->addr + p->len)
			continue;
		if (gdb_stop_once(g, gdb_thread_of_vp(g, index_of(g, vp)), GDB_SIGNAL_TRAP)) {
			g->watch_hit = true;
			g->watch = *p;
			g->watch_addr = MAX(gva, p->addr);
		}
		vp_request(vp, VP_ATTN_REQUEST);
		return;
	}
}

void gdb_on_fatal(struct gdb *g, struct vp *vp)
{
	if (g->fd >= 0)
		gdb_stop_once(g, gdb_thread_of_vp(g, index_of(g, vp)), GDB_SIGNAL_SEGV);
}

bool gdb_is_stopped(const struct gdb *g)
{
	return __atomic_load_n(&g->stopped, __ATOMIC_ACQUIRE);
}

/* What is armed decides how the processors run. */
static void arm(struct gdb *g)
{
	bool exec = g->step_thread != 0, data = false;

	for (u32 i = 0; i < g->npoints; i++) {
		exec |= g->point[i].kind <= POINT_HARDWARE;
		data |= g->point[i].kind >= POINT_WRITE;
	}
	for (u32 i = 0; i < g->ncpus; i++) {
		struct vp *vp = g->cpus[i].vp;
		if (exec)
			vp_request(vp, VP_ATTN_TRACE);
		else
			vp_request_clear(vp, VP_ATTN_TRACE);
		vp->host_watch = data;
		g->resume_insns[i] = vp->insns;
		engine_state_changed(vp);
	}
}

/* ---- commands ---- */

static void stop_reply(struct gdb *g)
{
	static const char *const names[] = {
		[POINT_WRITE] = "watch:", [POINT_READ] = "rwatch:", [POINT_ACCESS] = "awatch:"};
	u8 signal = (u8)g->signal;

	gdb_out(g, "T");
	gdb_out_hex(g, &signal, 1);
	gdb_out(g, "thread:");
	gdb_out_u64(g, g->thread);
	gdb_out(g, ";");
	if (g->watch_hit) {
		gdb_out(g, names[g->watch.kind]);
		gdb_out_u64(g, g->watch_addr);
		gdb_out(g, ";");
		g->watch_hit = false;
	}
}

static void set_point(struct gdb *g, const char *p, bool insert)
{
	struct gdb_point n = {.kind = (enum gdb_point_kind)(*p - '0')};

	if (*p < '0' || *p > '4' || p[1] != ',')
		return; /* empty answer: not supported */
	p += 2;
	n.addr = gdb_parse_u64(&p);
	p += *p == ',';
	n.len = (u32)MAX(gdb_parse_u64(&p), (u64)1);
	u32 i = 0;
	while (i < g->npoints && (g->point[i].kind != n.kind || g->point[i].addr != n.addr))
		i++;
	if (insert && i == g->npoints) {
		if (g->npoints == GDB_MAX_POINTS) {
			gdb_out(g, "E1c");
			return;
		}
		g->point[g->npoints++] = n;
	} else if (!insert && i < g->npoints) {
		g->point[i] = g->point[--g->npoints];
	}
	gdb_out(g, "OK");
}

static void memory_command(struct gdb *g, const char *p)
{
	static u8 buf[GDB_PACKET_BYTES];
	char how = *p++;
	u64 addr = gdb_parse_u64(&p);

	p += *p == ',';
	u64 len = gdb_parse_u64(&p);
	if (how == 'm') {
		if (!gdb_read_memory(g, addr, (u32)MIN(len, (u64)GDB_PACKET_BYTES / 2)))
			gdb_out(g, "E0e");
		return;
	}
	p += *p == ':';
	u32 have = how == 'M' ? gdb_parse_hex(p, buf, sizeof(buf))
			      : (u32)(g->packet + g->packet_bytes - p);
	const u8 *bytes = how == 'M' ? buf : (const u8 *)p;
	gdb_out(g, have >= len && gdb_write_memory(g, addr, bytes, (u32)len) ? "OK" : "E0e");
}

static void transfer_xml(struct gdb *g, const char *p)
{
	const char *xml = gdb_target_xml();
	u64 total = strlen(xml);
	u64 off = gdb_parse_u64(&p);

	p += *p == ',';
	u64 len = MIN(gdb_parse_u64(&p), (u64)GDB_PACKET_BYTES / 2);
	off = MIN(off, total);
	bool last = off + len >= total;
	gdb_out(g, last ? "l" : "m");
	for (u64 i = off; i < MIN(off + len, total); i++)
		gdb_out(g, (char[2]){xml[i], 0});
}

static bool starts(const char *s, const char *with, const char **rest)
{
	size_t n = strlen(with);

	if (strncmp(s, with, n))
		return false;
	*rest = s + n;
	return true;
}

static void query(struct gdb *g, const char *p)
{
	const char *rest;

	if (starts(p, "qSupported", &rest)) {
		gdb_out(g, "PacketSize=3000;qXfer:features:read+;QStartNoAckMode+;vContSupported+;"
			   "hwbreak+;swbreak+");
	} else if (starts(p, "qXfer:features:read:target.xml:", &rest)) {
		transfer_xml(g, rest);
	} else if (starts(p, "qfThreadInfo", &rest)) {
		gdb_out(g, "m");
		static u64 threads[GDB_MAX_THREADS];
		u32 n = gdb_threads(g, threads, GDB_MAX_THREADS);
		for (u32 i = 0; i < n; i++) {
			if (i)
				gdb_out(g, ",");
			gdb_out_u64(g, threads[i]);
		}
	} else if (starts(p, "qsThreadInfo", &rest)) {
		gdb_out(g, "l");
	} else if (starts(p, "qThreadExtraInfo,", &rest)) {
		u64 t = gdb_parse_u64(&rest);
		char name[160];
		gdb_thread_name(g, t, name, sizeof(name));
		gdb_out_hex(g, name, (u32)strlen(name));
	} else if (starts(p, "qRcmd,", &rest)) {
		gdb_monitor(g, rest);
	} else if (strcmp(p, "qC") == 0) {
		gdb_out(g, "QC");
		gdb_out_u64(g, g->thread);
	} else if (starts(p, "qAttached", &rest)) {
		gdb_out(g, "1");
	}
}

static void select_thread(struct gdb *g, const char *p)
{
	s64 t = *p == '-' ? -1 : (s64)gdb_parse_u64(&p);

	if (t >= 1 && !gdb_thread_exists(g, (u64)t)) {
		gdb_out(g, "E01");
		return;
	}
	if (t >= 1)
		g->thread = (u64)t;
	gdb_out(g, "OK");
}

static void resume(struct gdb *g, u64 step_thread)
{
	g->step_thread = step_thread;
	g->step_insns = ~0ull;
	g->resumed = true;
	arm(g);
	__atomic_store_n(&g->stopped, false, __ATOMIC_RELEASE);
}

/* vCont;s:1;c and the like: a thread steps, everybody else goes on. */
static void vcont(struct gdb *g, const char *p)
{
	u64 step = 0;

	while (*p == ';') {
		char action = *++p;
		p++;
		while (*p && *p != ':' && *p != ';')
			p++;
		u64 t = g->thread;
		if (*p == ':') {
			p++;
			t = gdb_parse_u64(&p);
		}
		if ((action == 's' || action == 'S') && !step && gdb_thread_exists(g, t))
			step = t;
	}
	resume(g, step);
}

static void command(struct gdb *g)
{
	const char *p = g->packet, *rest;

	switch (*p) {
	case '?': stop_reply(g); break;
	case 'g': gdb_read_registers(g); break;
	case 'G': gdb_out(g, gdb_write_registers(g, p + 1) ? "OK" : "E01"); break;
	case 'p':
		rest = p + 1;
		if (!gdb_read_register(g, (u32)gdb_parse_u64(&rest)))
			gdb_out(g, "E01");
		break;
	case 'P': {
		rest = p + 1;
		u32 n = (u32)gdb_parse_u64(&rest);
		gdb_out(g, *rest == '=' && gdb_write_register(g, n, rest + 1) ? "OK" : "E01");
		break;
	}
	case 'm':
	case 'M':
	case 'X': memory_command(g, p); break;
	case 'Z': set_point(g, p + 1, true); break;
	case 'z': set_point(g, p + 1, false); break;
	case 'H': select_thread(g, p + 2); break;
	case 'T': {
		rest = p + 1;
		u64 t = gdb_parse_u64(&rest);
		gdb_out(g, gdb_thread_exists(g, t) ? "OK" : "E01");
		break;
	}
	case 'c':
	case 'C': resume(g, 0); return;
	case 's':
	case 'S': resume(g, g->thread); return;
	case 'q': query(g, p); break;
	case 'Q':
		if (starts(p, "QStartNoAckMode", &rest)) {
			gdb_out(g, "OK");
			gdb_packet_put(g);
			g->no_ack = true;
			return;
		}
		break;
	case 'v':
		if (strcmp(p, "vCont?") == 0)
			gdb_out(g, "vCont;c;C;s;S");
		else if (starts(p, "vCont", &rest)) {
			vcont(g, rest);
			return;
		}
		break;
	case 'D':
		gdb_out(g, "OK");
		gdb_packet_put(g);
		g->npoints = g->ncatches = 0;
		resume(g, 0);
		gdb_disconnect(g);
		return;
	case 'k':
		g->npoints = g->ncatches = 0;
		resume(g, 0);
		gdb_disconnect(g);
		return;
	default: break;
	}
	gdb_packet_put(g);
}

void gdb_serve(struct gdb *g)
{
	if (g->fd < 0) {
		g->stopped = false;
		return;
	}
	if (g->resumed) { /* a stop after a resume is what gdb waits for */
		gdb_tell_caught(g);
		g->out_bytes = 0;
		stop_reply(g);
		gdb_packet_put(g);
	}
	g->resumed = false;
	while (g->fd >= 0 && !g->resumed) {
		if (!gdb_packet_get(g)) {
			gdb_disconnect(g);
			break;
		}
		command(g);
	}
	if (!g->resumed) { /* gone without a word: the guest goes on, nothing armed */
		g->npoints = g->ncatches = 0;
		resume(g, 0);
		g->resumed = false;
	}
}
