/*
 * cast.h - who is on stage: machines and child VMs with a letter, a colour and a short name
 *
 * The schedule and the table show the same entity the same way, and its letter and colour stay as
 * the trace grows. Pure but for the inks' numbers; updated by the main loop before each redraw.
 */
#ifndef VIEWER_CAST_H
#define VIEWER_CAST_H

#include "trace/model/model.h"

#define CAST_MAX 512u
#define CAST_NONE 0xffffffffu

struct cast_member {
	bool is_vm;
	u32 id;	    /* of the machine or child VM */
	u32 vm;	    /* machine it belongs to */
	u32 parent; /* index in the cast, CAST_NONE for a machine */
	u32 level;
	char letter;
	u8 ink;
	char name[EVENT_NAME_BYTES]; /* without its parents' */
};

struct cast {
	struct cast_member member[CAST_MAX];
	u32 count;
	u32 nvms, nchildren;
};

/* Take in machines and child VMs that are new in the model, and names that have become known. */
void cast_update(struct cast *c, const struct model *m);

/* Index of a machine, child VM or of the owner of a vCPU; CAST_NONE: not known. */
u32 cast_vm(const struct cast *c, u32 vm);
u32 cast_child(const struct cast *c, u32 child);
u32 cast_vcpu(const struct cast *c, const struct model *m, u32 vcpu);

#endif
