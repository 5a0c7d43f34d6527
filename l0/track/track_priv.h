/*
 * Parts of l0/track: what track.c (child VMs, vCPUs, processes) and threads.c share.
 */
#ifndef L0_TRACK_TRACK_PRIV_H
#define L0_TRACK_TRACK_PRIV_H

#include "l0/track/track.h"

#define VCPU_BUCKETS 1024u
#define PROCESS_BUCKETS 4096u
#define THREAD_BUCKETS 4096u

struct track_child {
	u32 id;
	u32 parent; /* child id, EVENT_NO_ID: the machine */
	u64 root;   /* EPT root; successor when one of its vCPUs changes it while others stay */
	u16 depth;
	bool inferred;
	u32 nvcpus;
	u32 next_index;
	struct track_child *next;
};

struct track_vcpu {
	u64 vmcs;
	u32 id;
	u32 index; /* in its child */
	u16 vpid;
	/* the last one that some level-1 processor entered and did not park */
	bool active;
	u32 active_on; /* that processor, or EVENT_NO_ID */
	struct track_child *child;
	u32 process;
	u64 cr3;
	struct track_runs runs;
	struct track_idle idle;
	struct track_vcpu *next; /* same bucket */
	struct list_node used;	 /* by time of the last entry, oldest first */
};

struct track_process {
	u32 id;
	u32 child; /* EVENT_NO_ID: the machine */
	u64 cr3;
	struct track_process *next;
	struct list_node used;
};

struct track_thread {
	u32 id;
	u32 child;   /* EVENT_NO_ID: the machine */
	u32 process; /* as of the last switch to it */
	bool user;   /* was in user mode */
	/* number of its stack (address in units of a stack's size), or its base register */
	u64 key;
	u64 switches;
	struct track_thread *next;
	struct list_node used;
};

struct track_threads {
	enum track_threads_by by;
	u32 shift; /* of a stack's address */
	u32 count, next;
	struct track_thread *bucket[THREAD_BUCKETS];
	struct list_node used;
};

struct track {
	u32 vm;
	u32 next_vcpu, next_child, next_process;
	u32 nvcpus, nprocesses;
	struct track_vcpu *vcpu[VCPU_BUCKETS];
	struct track_process *process[PROCESS_BUCKETS];
	struct track_child *children;
	struct list_node vcpus_used, processes_used;
	struct list_node vps; /* the machine's level-1 processors */
	struct track_threads threads;
};

/* The tracked state has changed. */
void track_counts_changed(struct track_vp *v);
static inline void counts_look(struct track_vp *v)
{
	if (unlikely(v->counts || v->fence))
		track_counts_changed(v);
}

/* idle.c: vCPU of @i rests, by HLT or MWAIT in that process and thread; exits for a PAUSE; does
 * anything else; goes over to another process or thread, from process @left. */
void idle_rest(struct track_vp *v, struct track_idle *i, u32 cause, u32 process, u32 thread);
void idle_pause(struct track_vp *v, struct track_idle *i, u32 process);
void idle_active(struct track_idle *i);
void idle_switch(struct track_vp *v, struct track_idle *i, u32 left, u32 process, u32 thread);

/* threads.c */
void threads_fini(struct track *t);
void threads_emit_state(struct track *t, struct trace_ctx *ctx);

#endif
