/* world.c - see world.h */
#include "l0/world.h"

#include "l0/host.h"

void world_init(struct world *w)
{
	*w = (struct world){.stopper = NULL};
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
}

void world_fini(struct world *w)
{
	pthread_mutex_destroy(&w->lock);
	pthread_cond_destroy(&w->changed);
}

/* Lock held. */
static void wait_for_resume(struct world *world)
{
	world->parked++;
	pthread_cond_broadcast(&world->changed);
	while (world->stopper)
		pthread_cond_wait(&world->changed, &world->lock);
	world->parked--;
}

void world_enter(struct worker *w)
{
	struct world *world = &w->host->world;

	pthread_mutex_lock(&world->lock);
	while (world->stopper)
		pthread_cond_wait(&world->changed, &world->lock);
	world->present++;
	pthread_mutex_unlock(&world->lock);
}

void world_leave(struct worker *w)
{
	struct world *world = &w->host->world;

	pthread_mutex_lock(&world->lock);
	world->present--;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}

void world_wait_slow(struct worker *w)
{
	struct world *world = &w->host->world;

	if (w->vcpu)
		vp_vec_park(&w->vcpu->vp);
	pthread_mutex_lock(&world->lock);
	if (world->stopper)
		wait_for_resume(world);
	pthread_mutex_unlock(&world->lock);
}

void world_stop(struct worker *w)
{
	struct host *h = w->host;
	struct world *world = &h->world;

	if (w->vcpu)
		vp_vec_park(&w->vcpu->vp);
	if (h->clock.kind == CLOCK_KIND_VIRTUAL)
		return;
	pthread_mutex_lock(&world->lock);
	while (world->stopper)
		wait_for_resume(world);
	world->stopper = w;
	world->wanted = true;
	for (u32 i = 0; i < h->nworkers; i++) {
		struct vcpu *running = h->worker[i].vcpu;

		if (running)
			vp_request(&running->vp, VP_ATTN_REQUEST);
	}
	sched_kick(&h->sched);
	while (world->parked < world->present - 1)
		pthread_cond_wait(&world->changed, &world->lock);
	pthread_mutex_unlock(&world->lock);
}

void world_resume(struct worker *w)
{
	struct world *world = &w->host->world;

	if (w->host->clock.kind == CLOCK_KIND_VIRTUAL)
		return;
	pthread_mutex_lock(&world->lock);
	world->stopper = NULL;
	world->wanted = false;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}
