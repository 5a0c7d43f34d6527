/* Stamping and handing out transitions; see transition.h. */
#include <errno.h>
#include "l0/base/mem_ops.h"
#include "trace/transition.h"

void trace_hub_init(struct trace_hub *hub)
{
	nm_zero(hub, sizeof(*hub));
	list_init(&hub->ctxs);
}

static void hub_refresh(struct trace_hub *hub)
{
	struct trace_ctx *ctx;

	hub->mask = 0;
	for (u32 i = 0; i < hub->nsinks; i++)
		hub->mask |= hub->sinks[i].kinds;
	list_for_each (ctx, &hub->ctxs, node)
		ctx->mask = hub->mask;
}

int trace_hub_add(struct trace_hub *hub, const struct transition_sink *sink)
{
	if (hub->nsinks == TRACE_SINKS)
		return -ENOSPC;
	hub->sinks[hub->nsinks++] = *sink;
	hub_refresh(hub);
	return 0;
}

void trace_hub_remove(struct trace_hub *hub, const void *arg)
{
	u32 kept = 0;

	for (u32 i = 0; i < hub->nsinks; i++)
		if (hub->sinks[i].arg != arg)
			hub->sinks[kept++] = hub->sinks[i];
	hub->nsinks = kept;
	hub_refresh(hub);
}

void trace_ctx_init(struct trace_ctx *ctx, struct trace_hub *hub, struct trace_worker *worker,
		    u32 vcpu_id, u8 level, u64 (*now)(struct trace_ctx *ctx), void *owner)
{
	nm_zero(ctx, sizeof(*ctx));
	ctx->mask = hub->mask;
	ctx->worker = worker;
	ctx->now = now;
	ctx->owner = owner;
	ctx->vcpu_id = vcpu_id;
	ctx->level = level;
	ctx->hub = hub;
	list_add_tail(&hub->ctxs, &ctx->node);
}

void trace_ctx_fini(struct trace_ctx *ctx)
{
	list_del(&ctx->node);
	ctx->mask = 0;
}

void trace_worker_init(struct trace_worker *worker, struct trace_hub *hub, u16 id,
		       u64 (*now)(struct trace_ctx *ctx), void *owner)
{
	nm_zero(worker, sizeof(*worker));
	worker->id = id;
	trace_ctx_init(&worker->ctx, hub, worker, EVENT_NO_ID, 0, now, owner);
}

void transition_emit(struct trace_ctx *ctx, u32 kind, const void *payload, u32 words)
{
	struct trace_worker *worker = ctx->worker;
	const struct trace_hub *hub = ctx->hub;
	const u64 *from = payload;
	struct transition t; /* the payload's words only are written and read */
	u32 sort = event_mask_arch & BIT(kind) ? EVENT_SORT_ARCH : EVENT_SORT_ENGINE;

	t.vtime_ns = ctx->now(ctx);
	t.seq = worker->seq[sort]++;
	t.vcpu_id = ctx->vcpu_id;
	t.worker = worker->id;
	t.level = ctx->level;
	t.kind = (u8)kind;
	for (u32 i = 0; i < words; i++)
		t.p[i] = from[i];
	for (u32 i = 0; i < hub->nsinks; i++)
		if (hub->sinks[i].kinds & BIT(kind))
			hub->sinks[i].feed(hub->sinks[i].arg, worker, &t);
}
