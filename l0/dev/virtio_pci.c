/* virtio_pci.c - the transport, see virtio.h */
#include "l0/dev/virtio.h"

#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"

#define VENDOR 0x1af4u
#define DEVICE_MODERN 0x1040u /* plus the type */
#define REVISION 1u

/* BAR 0: the four structures, a page each; BAR 1: MSI-X. */
#define BAR_BYTES 0x4000u
#define AT_COMMON 0x0000u
#define AT_ISR 0x1000u
#define AT_DEVICE 0x2000u
#define AT_NOTIFY 0x3000u
#define NOTIFY_MULTIPLIER 4u

/* Capabilities: vendor ID 9, next, length, type, BAR, 3 bytes of padding, offset, length. */
#define CAP_VENDOR 0x09u
#define CAP_COMMON 0x40u
#define CAP_ISR 0x50u
#define CAP_DEVICE 0x60u
#define CAP_NOTIFY 0x70u
#define CAP_PCI_CFG 0x84u
#define CAP_MSIX 0x98u
enum { TYPE_COMMON = 1, TYPE_NOTIFY, TYPE_ISR, TYPE_DEVICE, TYPE_PCI_CFG };

#define ISR_QUEUE 1u
#define ISR_CONFIG 2u

/* ---- interrupts ------------------------------------------------------------------------------ */

static void raise(struct virtio *v, u32 vector, u32 isr, u64 due_ns)
{
	if (msix_enabled(&v->msix)) {
		if (vector != MSIX_NO_VECTOR)
			msix_raise(&v->msix, vector, due_ns);
		return;
	}
	v->isr |= (u8)isr;
	pci_set_intx(&v->pci, true, due_ns);
}

void virtio_interrupt(struct virtio *v, u32 q, u64 due_ns)
{
	if (v->queue[q].ready && virtq_wants_interrupt(&v->queue[q], v->dev.bus->mem))
		raise(v, v->queue[q].vector, ISR_QUEUE, due_ns);
}

void virtio_config_changed(struct virtio *v, u64 due_ns)
{
	v->generation++;
	if (v->status & VIRTIO_STATUS_DRIVER_OK)
		raise(v, v->config_vector, ISR_CONFIG, due_ns);
}

void virtio_fail(struct virtio *v, const char *why)
{
	if (v->status & VIRTIO_STATUS_NEEDS_RESET)
		return;
	bus_report(v->dev.bus, v->name, why);
	v->status |= VIRTIO_STATUS_NEEDS_RESET;
	virtio_config_changed(v, bus_now(v->dev.bus));
}

/* ---- rings ----------------------------------------------------------------------------------- */

struct virtq_chain *virtio_pop(struct virtio *v, u32 q)
{
	const char *why = "";

	if (!virtio_is_running(v))
		return NULL;
	int got = virtq_pop(&v->queue[q], v->dev.bus->mem, &v->chain, &why);

	if (got < 0)
		virtio_fail(v, why);
	return got > 0 ? &v->chain : NULL;
}

void virtio_push(struct virtio *v, u32 q, const struct virtq_chain *c, u32 written)
{
	virtq_push(&v->queue[q], v->dev.bus->mem, c->head, written);
}

/* ---- common configuration -------------------------------------------------------------------- */

static void reset(struct virtio *v)
{
	if (v->ops->reset)
		v->ops->reset(v);
	for (u32 i = 0; i < VIRTIO_MAX_QUEUES; i++)
		virtq_reset(&v->queue[i]);
	v->accepted = 0;
	v->feature_select = v->driver_feature_select = v->queue_select = 0;
	v->config_vector = MSIX_NO_VECTOR;
	v->status = v->isr = 0;
	pci_set_intx(&v->pci, false, 0);
}

static void write_status(struct virtio *v, u8 value)
{
	if (!value) {
		reset(v);
		return;
	}
	if ((value & VIRTIO_STATUS_FEATURES_OK) && !(v->status & VIRTIO_STATUS_FEATURES_OK) &&
	    ((v->accepted & ~v->features) || !virtio_has(v, VIRTIO_F_VERSION_1)))
		value &= (u8)~VIRTIO_STATUS_FEATURES_OK; /* the driver will see that they are not */
	v->status = value | (v->status & VIRTIO_STATUS_NEEDS_RESET);
}

static void enable_queue(struct virtio *v, struct virtq *q)
{
	const char *why;

	if (q->ready)
		return;
	if (!virtq_usable(q, v->dev.bus->mem, &why)) {
		virtio_fail(v, why);
		return;
	}
	q->event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
	q->ready = true;
}

static struct virtq *selected(struct virtio *v)
{
	return v->queue_select < v->ops->nqueues ? &v->queue[v->queue_select] : NULL;
}

static u32 vector_if_any(const struct virtio *v, u32 vector)
{
	return vector < v->msix.nvectors ? vector : MSIX_NO_VECTOR;
}

static void write_features(struct virtio *v, u32 value)
{
	u32 shift = v->driver_feature_select * 32;

	if (v->driver_feature_select > 1 || (v->status & VIRTIO_STATUS_FEATURES_OK))
		return;
	v->accepted = (v->accepted & ~(0xffffffffull << shift)) | (u64)value << shift;
}

static u64 queue_field(struct virtio *v, u32 off)
{
	const struct virtq *q = selected(v);

	if (!q)
		return 0;
	switch (off) {
	case 24: return q->size;
	case 26: return q->vector;
	case 28: return q->ready;
	case 30: return v->queue_select;
	case 32: return (u32)q->desc;
	case 36: return q->desc >> 32;
	case 40: return (u32)q->avail;
	case 44: return q->avail >> 32;
	case 48: return (u32)q->used;
	case 52: return q->used >> 32;
	default: return 0;
	}
}

static u64 read_common(struct virtio *v, u32 off)
{
	switch (off) {
	case 0: return v->feature_select;
	case 4: return v->feature_select > 1 ? 0 : (u32)(v->features >> (32 * v->feature_select));
	case 8: return v->driver_feature_select;
	case 12:
		return v->driver_feature_select > 1
			       ? 0
			       : (u32)(v->accepted >> (32 * v->driver_feature_select));
	case 16: return v->config_vector;
	case 18: return v->ops->nqueues;
	case 20: return v->status;
	case 21: return v->generation;
	case 22: return v->queue_select;
	default: return queue_field(v, off);
	}
}

static void set_half(u64 *address, bool high, u32 value)
{
	*address = high ? (u32)*address | (u64)value << 32 : (*address & ~0xffffffffull) | value;
}

static void write_queue_field(struct virtio *v, u32 off, u32 value)
{
	struct virtq *q = selected(v);

	if (!q)
		return;
	if (off == 26)
		q->vector = (u16)vector_if_any(v, value);
	if (off == 28 && value == 1)
		enable_queue(v, q);
	if (q->ready)
		return; /* the rest is fixed while it is in use */
	switch (off) {
	case 24: q->size = (u16)value; break;
	case 32:
	case 36: set_half(&q->desc, off == 36, value); break;
	case 40:
	case 44: set_half(&q->avail, off == 44, value); break;
	case 48:
	case 52: set_half(&q->used, off == 52, value); break;
	}
}

static void write_common(struct virtio *v, u32 off, u32 value)
{
	switch (off) {
	case 0: v->feature_select = value; break;
	case 8: v->driver_feature_select = value; break;
	case 12: write_features(v, value); break;
	case 16: v->config_vector = (u16)vector_if_any(v, (u16)value); break;
	case 20: write_status(v, (u8)value); break;
	case 22: v->queue_select = (u16)value; break;
	default: write_queue_field(v, off, value);
	}
}

/* ---- BARs ------------------------------------------------------------------------------------ */

static u64 read_config(const struct virtio *v, u32 off, unsigned int size)
{
	u64 value = 0;

	for (u32 i = 0; i < size && off + i < v->config_bytes; i++)
		value |= (u64)v->config[off + i] << (8 * i);
	return value;
}

static void write_config(struct virtio *v, u32 off, u64 value, unsigned int size)
{
	if (!v->ops->config_written)
		return;
	for (u32 i = 0; i < size && off + i < v->config_bytes; i++)
		v->config[off + i] = (u8)(value >> (8 * i));
	v->ops->config_written(v);
}

static u64 bar_read(struct virtio *v, u32 offset, unsigned int size)
{
	u32 off = offset & 0xfff;
	u64 value = 0;

	switch (offset & 0xf000) {
	case AT_COMMON:
		value = read_common(v, off);
		if (size == 8)
			value |= read_common(v, off + 4) << 32;
		break;
	case AT_ISR:
		if (off)
			break;
		value = v->isr;
		v->isr = 0;
		pci_set_intx(&v->pci, false, 0);
		break;
	case AT_DEVICE: return read_config(v, off, size);
	}
	return size == 8 ? value : value & ((1ull << (8 * size)) - 1);
}

static void bar_write(struct virtio *v, u32 offset, u64 value, unsigned int size)
{
	u32 off = offset & 0xfff, q = off / NOTIFY_MULTIPLIER;

	switch (offset & 0xf000) {
	case AT_COMMON:
		write_common(v, off, (u32)value);
		if (size == 8)
			write_common(v, off + 4, (u32)(value >> 32));
		break;
	case AT_DEVICE: write_config(v, off, value, size); break;
	case AT_NOTIFY:
		if (q < v->ops->nqueues && v->queue[q].ready && virtio_is_running(v))
			v->ops->notify(v, q);
		break;
	}
}

static u64 mmio_read(void *dev, u64 offset, unsigned int size)
{
	struct virtio *v = dev;

	bus_lock(v->dev.bus);
	u64 value = bar_read(v, (u32)offset, size);

	bus_unlock(v->dev.bus);
	return value;
}

static void mmio_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct virtio *v = dev;

	bus_lock(v->dev.bus);
	bar_write(v, (u32)offset, value, size);
	bus_unlock(v->dev.bus);
}

static u64 msix_mmio_read(void *dev, u64 offset, unsigned int size)
{
	struct virtio *v = container_of(dev, struct virtio, msix);

	bus_lock(v->dev.bus);
	u64 value = msix_read(&v->msix, offset, size);

	bus_unlock(v->dev.bus);
	return value;
}

static void msix_mmio_write(void *dev, u64 offset, u64 value, unsigned int size)
{
	struct virtio *v = container_of(dev, struct virtio, msix);

	bus_lock(v->dev.bus);
	msix_write(&v->msix, offset, value, size);
	bus_unlock(v->dev.bus);
}

static const struct mmio_ops bar_ops = {.read = mmio_read, .write = mmio_write};
static const struct mmio_ops msix_bar_ops = {.read = msix_mmio_read, .write = msix_mmio_write};

/* ---- configuration space --------------------------------------------------------------------- */

/* The window to BAR 0 in configuration space: offset and length as the driver set them. */
static bool cfg_window(const struct virtio *v, u32 off, u32 *at, u32 *size)
{
	const u8 *cap = v->pci.config + CAP_PCI_CFG;

	*at = nm_load32(cap + 8);
	*size = nm_load32(cap + 12);
	return off == CAP_PCI_CFG + 16 && cap[4] == 0 && (*size == 1 || *size == 2 || *size == 4) &&
	       *at < BAR_BYTES && !(*at & (*size - 1));
}

static void config_read(struct pci_function *f, u32 off, unsigned int size)
{
	struct virtio *v = container_of(f, struct virtio, pci);
	u32 at, width;

	(void)size;
	if (cfg_window(v, off, &at, &width))
		nm_store32(f->config + off, (u32)bar_read(v, at, width));
}

static void config_written(struct pci_function *f, u32 off, unsigned int size)
{
	struct virtio *v = container_of(f, struct virtio, pci);
	u32 at, width;

	(void)size;
	if (cfg_window(v, off, &at, &width))
		bar_write(v, at, nm_load32(f->config + off), width);
	else if (off >= CAP_MSIX && off < CAP_MSIX + MSIX_CAP_BYTES)
		msix_config_written(&v->msix);
}

static void put_cap(struct pci_function *f, u32 at, u8 next, u8 bytes, u8 type, u32 offset,
		    u32 length)
{
	u8 *cap = f->config + at;

	cap[0] = CAP_VENDOR;
	cap[1] = next;
	cap[2] = bytes;
	cap[3] = type;
	nm_store32(cap + 8, offset);
	nm_store32(cap + 12, length);
}

static void fill_function(struct virtio *v)
{
	struct pci_function *f = &v->pci;

	f->name = v->name;
	f->config_read = config_read;
	f->config_written = config_written;
	pci_put16(f, PCI_VENDOR, VENDOR);
	pci_put16(f, PCI_DEVICE, (u16)(DEVICE_MODERN + v->ops->type));
	f->config[PCI_STATUS] = PCI_STATUS_CAPABILITIES;
	f->config[PCI_REVISION] = REVISION;
	f->config[PCI_CLASS + 1] = v->ops->pci_subclass;
	f->config[PCI_CLASS + 2] = v->ops->pci_class;
	pci_put16(f, PCI_SUBSYSTEM_VENDOR, VENDOR);
	pci_put16(f, PCI_SUBSYSTEM, (u16)(DEVICE_MODERN + v->ops->type));
	f->config[PCI_CAPABILITIES] = CAP_COMMON;
	f->config[PCI_INTERRUPT_PIN] = 1;
	put_cap(f, CAP_COMMON, CAP_ISR, 16, TYPE_COMMON, AT_COMMON, 56);
	put_cap(f, CAP_ISR, CAP_DEVICE, 16, TYPE_ISR, AT_ISR, 4);
	put_cap(f, CAP_DEVICE, CAP_NOTIFY, 16, TYPE_DEVICE, AT_DEVICE, VIRTIO_CONFIG_BYTES);
	put_cap(f, CAP_NOTIFY, CAP_PCI_CFG, 20, TYPE_NOTIFY, AT_NOTIFY,
		NOTIFY_MULTIPLIER * v->ops->nqueues);
	nm_store32(f->config + CAP_NOTIFY + 16, NOTIFY_MULTIPLIER);
	put_cap(f, CAP_PCI_CFG, CAP_MSIX, 20, TYPE_PCI_CFG, 0, 0);
	f->writable[CAP_PCI_CFG + 4] = 0xff;
	for (u32 i = 8; i < 20; i++)
		f->writable[CAP_PCI_CFG + i] = 0xff;
	f->bar[0] = (struct pci_bar){.bytes = BAR_BYTES, .ops = &bar_ops, .dev = v};
	f->bar[1] =
		(struct pci_bar){.bytes = MSIX_BAR_BYTES, .ops = &msix_bar_ops, .dev = &v->msix};
	msix_init(&v->msix, f, CAP_MSIX, 0, 1, v->ops->nqueues + 1u);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void virtio_reset(struct device *d)
{
	struct virtio *v = container_of(d, struct virtio, dev);

	reset(v);
	msix_reset(&v->msix);
}

static void virtio_destroy(struct device *d)
{
	struct virtio *v = container_of(d, struct virtio, dev);

	v->ops->destroy(v);
}

static const struct device_class virtio_class = {
	.name = "virtio",
	.reset = virtio_reset,
	.destroy = virtio_destroy,
};

void virtio_init(struct virtio *v, const struct virtio_ops *ops, const char *name, u64 features)
{
	u32 n = 0;

	v->ops = ops;
	for (; name[n] && n < sizeof(v->name) - 1; n++)
		v->name[n] = name[n];
	v->features = features | BIT(VIRTIO_F_VERSION_1) | BIT(VIRTIO_F_INDIRECT) |
		      BIT(VIRTIO_F_EVENT_IDX);
}

int virtio_add(struct virtio *v, struct machine_bus *bus)
{
	bus_add_device(bus, &v->dev, &virtio_class);
	fill_function(v);
	int err = pci_add(bus->pci, &v->pci);

	if (!err)
		reset(v);
	return err;
}
