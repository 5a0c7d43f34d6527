/* One LTTng session: descriptor, channel, events, start and end; see session_priv.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "trace/session_priv.h"

#define SUBBUF_WANTED (4 * MIB)
#define SUBBUF_WANTED_LIVE (512 * KIB)
#define SUBBUF_LEAST (64 * KIB)
#define FLIGHT_SUBBUF_LEAST (16 * KIB)
#define NSUBBUFS 8u
#define BLOCKING_TIMEOUT_US \
	100000			/* an event waits this long for room before it counts as lost \
				    */
#define SWITCH_TIMER_US 1000000 /* a recording can be read up to a second ago */

/* LTTng makes buffers for every CPU that could exist. */
static u64 possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	unsigned first = 0, last = 0;
	long n = sysconf(_SC_NPROCESSORS_CONF);
	int got;

	if (f) {
		got = fscanf(f, "%u-%u", &first, &last);
		fclose(f);
		if (got == 2 && last >= first)
			return last + 1u;
		if (got == 1)
			return 1;
	}
	return n > 0 ? (u64)n : 1;
}

struct trace_buffers trace_buffers_choose(bool live)
{
	struct trace_buffers b = {live ? SUBBUF_WANTED_LIVE : SUBBUF_WANTED, NSUBBUFS, false};
	u64 room = ~0ull, cpus = possible_cpus();
	struct statvfs st;

	if (statvfs("/dev/shm", &st) == 0)
		room = (u64)st.f_bavail * st.f_frsize / 4;
	if (live)
		room /= 4;
	while (b.subbuf_bytes * b.nsubbufs * cpus > room && b.subbuf_bytes > SUBBUF_LEAST) {
		b.subbuf_bytes /= 2;
		b.is_cut = true;
	}
	return b;
}

/* A power of two for each CPU's sub-buffers, so that all together stay within @bytes. */
static struct trace_buffers flight_buffers(u64 bytes)
{
	struct trace_buffers b = {SUBBUF_WANTED, NSUBBUFS, false};

	while (b.subbuf_bytes > FLIGHT_SUBBUF_LEAST &&
	       b.subbuf_bytes * b.nsubbufs * possible_cpus() > bytes)
		b.subbuf_bytes /= 2;
	return b;
}

static int create_session(struct trace_lttng *l, const char *output,
			  const struct trace_relay *relay)
{
	struct lttng_session_descriptor *desc;
	char control[64], data[64];
	enum lttng_error_code code;

	if (l->flight_bytes) {
		desc = lttng_session_descriptor_snapshot_local_create(l->name, output);
	} else if (output) {
		desc = lttng_session_descriptor_local_create(l->name, output);
	} else {
		snprintf(control, sizeof(control), "tcp://127.0.0.1:%u", relay->control_port);
		snprintf(data, sizeof(data), "tcp://127.0.0.1:%u", relay->data_port);
		desc = lttng_session_descriptor_live_network_create(l->name, control, data,
								    TRACE_LIVE_TIMER_US);
	}
	if (!desc)
		return LTTNG_ERR_NOMEM;
	code = lttng_create_session_ext(desc);
	lttng_session_descriptor_destroy(desc);
	return code == LTTNG_OK ? 0 : (int)code;
}

static int enable_channel(struct trace_lttng *l, struct lttng_domain *domain)
{
	struct lttng_channel *ch = lttng_channel_create(domain);
	struct trace_buffers b = l->flight_bytes ? flight_buffers(l->flight_bytes)
						 : trace_buffers_choose(l->is_live);
	int code;

	if (!ch)
		return LTTNG_ERR_NOMEM;
	snprintf(ch->name, sizeof(ch->name), TRACE_CHANNEL_NAME);
	ch->enabled = 1;
	ch->attr.overwrite = l->flight_bytes != 0;
	ch->attr.subbuf_size = b.subbuf_bytes;
	ch->attr.num_subbuf = b.nsubbufs;
	ch->attr.output = LTTNG_EVENT_MMAP;
	ch->attr.switch_timer_interval = l->is_live || l->flight_bytes ? 0 : SWITCH_TIMER_US;
	if (!l->flight_bytes) /* the newest overwrite the oldest: nothing waits */
		lttng_channel_set_blocking_timeout(ch, BLOCKING_TIMEOUT_US);
	code = -lttng_enable_channel(l->handle, ch);
	lttng_channel_destroy(ch);
	return code;
}

/*
 * Have the description of the events reach the disk while the run goes on: a trace whose daemon
 * died is of no use without it.
 */
static void enable_metadata_timer(struct trace_lttng *l, struct lttng_domain *domain)
{
	struct lttng_channel *ch = lttng_channel_create(domain);

	if (!ch)
		return;
	snprintf(ch->name, sizeof(ch->name), "metadata");
	ch->enabled = 1;
	ch->attr.overwrite = 0;
	ch->attr.subbuf_size = 16 * KIB;
	ch->attr.num_subbuf = 2;
	ch->attr.output = LTTNG_EVENT_MMAP;
	ch->attr.switch_timer_interval = SWITCH_TIMER_US;
	lttng_enable_channel(l->handle,
			     ch); /* where it is not possible, the trace is as good as before */
	lttng_channel_destroy(ch);
}

static int enable_events(struct trace_lttng *l, u64 kinds_not)
{
	char names[TRANSITION_COUNT][LTTNG_SYMBOL_NAME_LEN];
	char *list[TRANSITION_COUNT];
	struct lttng_event *ev = lttng_event_create();
	int code, n = 0;

	if (!ev)
		return LTTNG_ERR_NOMEM;
	for (u32 k = 0; k < TRANSITION_COUNT; k++) {
		if (!(kinds_not >> k & 1))
			continue;
		snprintf(names[n], sizeof(names[n]), "nestor:%s", event_infos[k].name);
		list[n] = names[n];
		n++;
	}
	snprintf(ev->name, sizeof(ev->name), "nestor:*");
	ev->type = LTTNG_EVENT_TRACEPOINT;
	ev->loglevel_type = LTTNG_EVENT_LOGLEVEL_ALL;
	code = -lttng_enable_event_with_exclusions(l->handle, ev, TRACE_CHANNEL_NAME, NULL, n,
						   n ? list : NULL);
	lttng_event_destroy(ev);
	return code;
}

static int set_up(struct trace_lttng *l, struct lttng_domain *domain, pid_t pid, u64 kinds_not)
{
	int code;

	if (!l->is_live && !l->flight_bytes)
		enable_metadata_timer(l, domain);
	code = enable_channel(l, domain);
	if (code > 0)
		return code;
	/* other runs of ours under the same daemon have the same provider */
	code = -lttng_track_pid(l->handle, pid);
	if (code > 0)
		return code;
	code = enable_events(l, kinds_not);
	if (code > 0)
		return code;
	code = -lttng_start_tracing(l->name);
	return code > 0 ? code : 0;
}

int trace_lttng_create(struct trace_lttng *l, const struct trace_lttng_spec *spec, char *why,
		       size_t why_bytes)
{
	struct lttng_domain domain = {.type = LTTNG_DOMAIN_UST, .buf_type = LTTNG_BUFFER_PER_UID};
	int code;

	memset(l, 0, sizeof(*l));
	snprintf(l->name, sizeof(l->name), "%s", spec->name);
	l->is_live = !spec->output;
	l->flight_bytes = spec->flight_bytes;
	code = create_session(l, spec->output, spec->relay);
	if (code) {
		snprintf(why, why_bytes, "LTTng session %s: %s", spec->name, lttng_strerror(-code));
		l->name[0] = 0;
		return -EIO;
	}
	l->handle = lttng_create_handle(l->name, &domain);
	code = l->handle ? set_up(l, &domain, spec->pid, spec->kinds_not) : LTTNG_ERR_NOMEM;
	if (code) {
		snprintf(why, why_bytes, "LTTng session %s: %s", spec->name, lttng_strerror(-code));
		trace_lttng_destroy(l, TRACE_SICK);
		return -EIO;
	}
	return 0;
}

int trace_lttng_snapshot(const struct trace_lttng *l, char *why, size_t why_bytes)
{
	int code = lttng_snapshot_record(l->name, NULL, 0);

	if (code >= 0)
		return 0;
	snprintf(why, why_bytes, "LTTng session %s: %s", l->name, lttng_strerror(code));
	return -EIO;
}

static u64 count_discarded(struct trace_lttng *l)
{
	struct lttng_channel *channels = NULL;
	int n = lttng_list_channels(l->handle, &channels);
	u64 total = 0, one;

	for (int i = 0; i < n; i++)
		if (lttng_channel_get_discarded_event_count(&channels[i], &one) == 0)
			total += one;
	if (n >= 0)
		free(channels);
	return total;
}

u64 trace_lttng_destroy(struct trace_lttng *l, enum trace_health health)
{
	u64 discarded = 0;

	if (!l->name[0])
		return 0;
	if (health == TRACE_HEALTHY) {
		if (l->is_live)
			lttng_stop_tracing_no_wait(l->name);
		else
			lttng_stop_tracing(l->name);
		if (l->handle)
			discarded = count_discarded(l);
	}
	if (health == TRACE_HEALTHY && !l->is_live)
		lttng_destroy_session(l->name);
	else if (health != TRACE_GONE)
		lttng_destroy_session_no_wait(l->name);
	if (l->handle)
		lttng_destroy_handle(l->handle);
	memset(l, 0, sizeof(*l));
	return discarded;
}

void trace_lttng_url(const struct trace_lttng *l, const struct trace_relay *relay, char *buf,
		     size_t bytes)
{
	char host[256] = "localhost";

	gethostname(host, sizeof(host) - 1);
	snprintf(buf, bytes, "net://127.0.0.1:%u/host/%s/%s", relay->live_port, host, l->name);
}
