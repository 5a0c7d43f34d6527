/*
 * model_priv.h - the model's own tables, shared by model.c, entities.c, schedule.c and history.c
 *
 * Tables are vectors that grow up to their limit, with an open hash from id to index.
 */
#ifndef TRACE_MODEL_MODEL_PRIV_H
#define TRACE_MODEL_MODEL_PRIV_H

#include "trace/model/model.h"

#define MODEL_MAX_WORKERS 1024u
#define MODEL_MAX_VMS 1024u
#define MODEL_MAX_CHILDREN 4096u
#define MODEL_MAX_DEADLINES 4096u

struct table {
	u8 *items;
	u32 count, room, max, item_bytes;
	u32 *hash; /* index + 1 */
	u32 hash_size;
};

/* What an exit row of a vCPU holds besides its sums. */
struct exit_priv {
	u32 *costs;		    /* MODEL_COST_BUCKETS, or NULL */
	struct model_place *places; /* MODEL_PLACES, or NULL */
};

/* A reflected exit whose VMM has not entered a guest of its level again. */
struct open_exit {
	u32 node, level;
	u64 since_ns;
};

#define MODEL_COST_BUCKETS 128u

struct vcpu_priv {
	u64 halted_since; /* ~0: not halted */
	u64 ready_since;  /* level 1; ~0: not waiting for a worker */
	bool is_woken;	  /* it waits since a wake */
	u32 nopen;	  /* level 1 */
	struct open_exit open[MODEL_LEVELS];
	u32 loaded; /* level 1: the guest vCPU it ran last */
	u32 exits_room;
	struct model_exit *exits;
	struct exit_priv *exit_privs;
	struct model_reserve *reserves;
	u8 exit_slot[128]; /* reason → index + 1 in exits */
	struct model_history *history;
};

struct worker_priv {
	u64 since_ns;	/* time is accounted for up to here */
	u64 stretch_ns; /* start of the stretch that runs */
	u64 charge_ns;	/* charged, not yet passed */
	bool is_known;	/* who runs is known */
	bool has_lane;	/* the lane's open segment is valid */
	bool seq_is_known[EVENT_SORT_COUNT];
	u32 vcpu, inner, level; /* the stretch */
	u32 loaded;		/* guest vCPU of the level-1 processor, for the lane */
	struct model_segment *ring;
	u64 head; /* segments so far */
};

struct model {
	struct model_config cfg;
	struct model_totals totals;
	struct ev_state_count counts[MODEL_COUNTS];
	u32 ncounts;
	struct table workers, vms, children, vcpus, processes, threads, deadlines;
	struct exit_tree *tree;
	struct intr_table *intrs;	 /* NULL: does not drill down */
	struct worker_priv *worker_priv; /* by index, MODEL_MAX_WORKERS */
	struct vcpu_priv *vcpu_priv;	 /* by index, cfg.max_vcpus */
	bool expects_all, expects_start;
	bool has_exits;		     /* the source has events that come once an exit */
	struct transition *failures; /* ring of MODEL_FAILURES, made with the first */
	u64 nfailures;
	model_event_fn on_event;
	void *event_arg;
	model_stretch_fn on_stretch, on_begin;
	void *stretch_arg, *begin_arg;
};

/* --- entities.c --- */
int model_table_init(struct table *t, u32 item_bytes, u32 max);
void model_table_fini(struct table *t);
/* Item with this id (the first u32 of each item), or NULL. */
void *model_table_find(const struct table *t, u32 id);
/* The same, made (zeroed but for its id) when it is new; NULL when the table is full. */
void *model_table_get(struct model *m, struct table *t, u32 id, bool *is_new);

struct model_worker *model_get_worker(struct model *m, u32 id);
struct model_vm *model_get_vm(struct model *m, u32 id);
struct model_child *model_get_child(struct model *m, u32 id);
struct model_vcpu *model_get_vcpu(struct model *m, u32 id);
struct model_process *model_get_process(struct model *m, u32 id);

static inline u32 model_vcpu_index(const struct model *m, const struct model_vcpu *v)
{
	return (u32)(v - (const struct model_vcpu *)(const void *)m->vcpus.items);
}
static inline struct vcpu_priv *model_vcpu_priv(const struct model *m, const struct model_vcpu *v)
{
	return &m->vcpu_priv[model_vcpu_index(m, v)];
}
static inline struct worker_priv *model_worker_priv(const struct model *m,
						    const struct model_worker *w)
{
	return &m->worker_priv[w - (const struct model_worker *)(const void *)m->workers.items];
}

/* Feeds of state events. */
void model_entities_feed(struct model *m, const struct transition *t);
/* Return: number of the row in v->exits, EVENT_NO_ID: memory is short. */
u32 model_exit_add(struct model *m, struct model_vcpu *v, u64 now, const struct model_exit *add);

/* --- exits.c --- */
struct exit_tree *model_tree_create(void);
void model_tree_destroy(struct exit_tree *tree);
struct intr_table *model_intrs_create(void);
void model_intrs_destroy(struct intr_table *t);
/* An exit one by one, of row @slot of @v (exit_row()'s); @carrier: the level-1 processor. */
void model_exit_one(struct model *m, struct model_vcpu *v, u32 slot, u32 carrier,
		    const struct transition *t);
void model_exits_entry(struct model *m, u32 carrier, const struct transition *t);
void model_intr_feed(struct model *m, const struct transition *t);
void model_exit_priv_free(struct vcpu_priv *p, u32 nexits);

/* --- history.c --- */
/* Bucket for @now, or NULL when memory is short. */
struct model_counters *model_history_at(struct model *m, struct model_vcpu *v, u64 now);
/* Spread @ran_ns that ended at @now over the buckets it covers. */
void model_history_ran(struct model *m, struct model_vcpu *v, u64 now, u64 ran_ns);

/* --- schedule.c --- */
void model_schedule_feed(struct model *m, struct model_worker *w, const struct transition *t);
void model_schedule_settle(struct model *m, struct model_worker *w);

#endif
