/* msix.c - see msix.h */
#include "l0/dev/msix.h"

#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/dev/lapic.h"

#define CAP_MSIX 0x11
#define CONTROL_ENABLE 0x8000u
#define CONTROL_MASK_ALL 0x4000u
#define VECTOR_MASKED 0x1u

#define MESSAGE_WINDOW 0xfee00000ull
#define MESSAGE_WINDOW_MASK 0xfff00000ull
#define MESSAGE_LOGICAL 0x4u
#define MESSAGE_LEVEL 0x8000u

static u16 control(const struct msix *m)
{
	return pci_get16(m->f, m->cap + 2);
}

void msix_init(struct msix *m, struct pci_function *f, u32 cap, u8 next, u32 bar, u32 nvectors)
{
	m->f = f;
	m->cap = cap;
	m->nvectors = nvectors;
	f->config[cap] = CAP_MSIX;
	f->config[cap + 1] = next;
	pci_put16(f, cap + 2, (u16)(nvectors - 1));
	f->writable[cap + 3] = (CONTROL_ENABLE | CONTROL_MASK_ALL) >> 8;
	nm_store32(f->config + cap + 4, bar);
	nm_store32(f->config + cap + 8, MSIX_PBA_OFFSET | bar);
	msix_reset(m);
}

bool msix_enabled(const struct msix *m)
{
	return control(m) & CONTROL_ENABLE;
}

static void send(struct msix *m, u32 v)
{
	const struct msix_vector *e = &m->vector[v];
	struct machine_bus *bus = m->f->bus;
	u32 address = (u32)e->address;

	m->pending &= ~(u32)BIT(v);
	if (e->address >> 32 || (address & MESSAGE_WINDOW_MASK) != MESSAGE_WINDOW) {
		mem_write(bus->mem, e->address & ~3ull, &e->data, 4); /* outside RAM: it is lost */
		return;
	}
	struct apic_message msg = {
		.dest = address >> 12 & 0xff,
		.logical = address & MESSAGE_LOGICAL,
		.delivery = e->data >> 8 & 7,
		.vector = (u8)e->data,
		.level = e->data & MESSAGE_LEVEL,
		.source = INTR_SOURCE_DEVICE,
		.due_ns = m->due_ns[v],
	};

	apic_bus_send(bus, &msg);
}

/* Send what is pending and no longer masked. */
static void update(struct msix *m)
{
	if (!(control(m) & CONTROL_ENABLE) || (control(m) & CONTROL_MASK_ALL))
		return;
	for (u32 v = 0; v < m->nvectors && m->pending; v++)
		if ((m->pending & BIT(v)) && !(m->vector[v].control & VECTOR_MASKED))
			send(m, v);
}

void msix_raise(struct msix *m, u32 v, u64 due_ns)
{
	if (v >= m->nvectors || !(pci_get16(m->f, PCI_COMMAND) & PCI_COMMAND_MASTER))
		return;
	if (!(m->pending & BIT(v)))
		m->due_ns[v] = due_ns;
	m->pending |= (u32)BIT(v);
	update(m);
}

void msix_config_written(struct msix *m)
{
	update(m);
}

static u32 read_dword(struct msix *m, u64 offset)
{
	if (offset == MSIX_PBA_OFFSET)
		return m->pending;
	if (offset >= 16ull * m->nvectors)
		return 0;
	const struct msix_vector *e = &m->vector[offset / 16];

	switch (offset & 12) {
	case 0: return (u32)e->address;
	case 4: return (u32)(e->address >> 32);
	case 8: return e->data;
	default: return e->control;
	}
}

static void write_dword(struct msix *m, u64 offset, u32 value)
{
	if (offset >= 16ull * m->nvectors)
		return;
	struct msix_vector *e = &m->vector[offset / 16];

	switch (offset & 12) {
	case 0: e->address = (e->address & ~0xffffffffull) | (value & ~3u); break;
	case 4: e->address = (u32)e->address | (u64)value << 32; break;
	case 8: e->data = value; break;
	default: e->control = value & VECTOR_MASKED; update(m);
	}
}

u64 msix_read(struct msix *m, u64 offset, unsigned int size)
{
	if (size < 4 || (offset & (size - 1)))
		return ~0ull;
	u64 value = read_dword(m, offset);

	return size == 8 ? value | (u64)read_dword(m, offset + 4) << 32 : value;
}

void msix_write(struct msix *m, u64 offset, u64 value, unsigned int size)
{
	if (size < 4 || (offset & (size - 1)))
		return;
	write_dword(m, offset, (u32)value);
	if (size == 8)
		write_dword(m, offset + 4, (u32)(value >> 32));
}

void msix_reset(struct msix *m)
{
	m->pending = 0;
	m->f->config[m->cap + 3] = 0;
	for (u32 v = 0; v < MSIX_MAX_VECTORS; v++)
		m->vector[v] = (struct msix_vector){.control = VECTOR_MASKED};
}
