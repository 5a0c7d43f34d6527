/* Letters and colours; see cast.h. */
#include <stdio.h>
#include <string.h>

#include "viewer/cast.h"
#include "viewer/screen.h"

static u32 find(const struct cast *c, bool is_vm, u32 id)
{
	for (u32 i = 0; i < c->count; i++)
		if (c->member[i].is_vm == is_vm && c->member[i].id == id)
			return i;
	return CAST_NONE;
}

u32 cast_vm(const struct cast *c, u32 vm)
{
	return find(c, true, vm);
}

u32 cast_child(const struct cast *c, u32 child)
{
	return find(c, false, child);
}

u32 cast_vcpu(const struct cast *c, const struct model *m, u32 vcpu)
{
	const struct model_vcpu *v = vcpu == EVENT_NO_ID ? NULL : model_vcpu(m, vcpu);

	if (!v)
		return CAST_NONE;
	return v->child == EVENT_NO_ID ? cast_vm(c, v->vm) : cast_child(c, v->child);
}

static struct cast_member *add(struct cast *c, bool is_vm, u32 id)
{
	u32 i = find(c, is_vm, id);

	if (i != CAST_NONE)
		return &c->member[i];
	if (c->count == CAST_MAX)
		return NULL;
	c->member[c->count] = (struct cast_member){.is_vm = is_vm, .id = id, .parent = CAST_NONE};
	return &c->member[c->count++];
}

static char letter(u32 n, char first)
{
	return (char)(first + n % 26);
}

static void update_vm(struct cast *c, const struct model_vm *vm)
{
	u32 before = c->count;
	struct cast_member *x = add(c, true, vm->id);

	if (!x)
		return;
	if (c->count != before) {
		x->letter = letter(vm->id, 'A');
		x->ink = screen_entity_ink(vm->id, 0);
		c->nvms++;
		x->vm = vm->id;
		x->level = 1;
	}
	if (vm->name[0])
		snprintf(x->name, sizeof(x->name), "%s", vm->name);
	else
		snprintf(x->name, sizeof(x->name), "vm%u", vm->id);
}

/* Shade of a machine's next guest. */
static u32 count_guests(const struct cast *c, u32 vm)
{
	u32 n = 0;

	for (u32 i = 0; i < c->count; i++)
		n += !c->member[i].is_vm && c->member[i].vm == vm;
	return n;
}

static void update_child(struct cast *c, const struct model_child *child)
{
	u32 before = c->count, vm = cast_vm(c, child->vm);
	struct cast_member *x;

	if (vm == CAST_NONE)
		return; /* not known yet where it belongs */
	x = add(c, false, child->id);
	if (!x)
		return;
	if (c->count != before) {
		x->letter = letter(c->nchildren++, 'a');
		/* all shades but the machine's own */
		x->ink = screen_entity_ink((c->member[vm].ink - INK_ENTITY) / SCREEN_SHADES,
					   1 + count_guests(c, child->vm) % (SCREEN_SHADES - 1));
	}
	x->vm = child->vm;
	x->parent = child->parent == EVENT_NO_ID ? vm : cast_child(c, child->parent);
	if (x->parent == CAST_NONE)
		x->parent = vm;
	x->level = child->depth;
	if (child->name[0])
		snprintf(x->name, sizeof(x->name), "%s", child->name);
	else
		/* as l0/track will call it once it repeats its state */
		snprintf(x->name, sizeof(x->name), "child %u.%u", child->vm, child->id & 0xffff);
}

void cast_update(struct cast *c, const struct model *m)
{
	const struct model_child *children;
	const struct model_vm *vms;
	u32 n;

	vms = model_vms(m, &n);
	for (u32 i = 0; i < n; i++)
		update_vm(c, &vms[i]);
	children = model_children(m, &n);
	for (u32 i = 0; i < n; i++)
		update_child(c, &children[i]);
}
