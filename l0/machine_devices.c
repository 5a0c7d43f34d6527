/* machine_devices.c - the devices of a machine by its description, see machine.h */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "l0/arch/ports.h"
#include "l0/cmd/exit_codes.h"
#include "l0/dev/absent.h"
#include "l0/dev/board.h"
#include "l0/dev/chardev.h"
#include "l0/dev/deadline_port.h"
#include "l0/dev/debugexit.h"
#include "l0/dev/e9.h"
#include "l0/dev/fw_cfg.h"
#include "l0/dev/ide.h"
#include "l0/dev/ioapic.h"
#include "l0/dev/lapic.h"
#include "l0/dev/pci.h"
#include "l0/dev/pic8259.h"
#include "l0/dev/piix.h"
#include "l0/dev/pit8254.h"
#include "l0/dev/rom.h"
#include "l0/dev/rtc.h"
#include "l0/dev/uart16550.h"
#include "l0/dev/usernet.h"
#include "l0/dev/vga.h"
#include "l0/dev/virtio_blk.h"
#include "l0/dev/virtio_console.h"
#include "l0/dev/virtio_rng.h"
#include "l0/host.h"

#define VGA_BIOS_MAX (256 * 1024)
/* The first three bytes are those that other monitors use, locally administered. */
#define MAC_ADDRESS(vm) \
	{ \
		0x52, 0x54, 0x00, 0x12, 0x34, (u8)(0x56 + (vm)) \
	}

static int usage_error(const struct machine *m, const char *option, const char *text, int *status)
{
	fprintf(stderr, "nestor: %s: %s: %s\n", m->desc->name,
		place_text(m->desc->places, option, NULL), text);
	*status = EXIT_CODE_USAGE;
	return -EINVAL;
}

static int create_disk(struct machine *m, const struct machine_disk *d, int *status)
{
	char err[DISK_ERR_BYTES], name[32];
	struct disk *disk = disk_open(d->path, d->read_only, err);
	const char *slash = strrchr(d->path, '/');

	if (!disk)
		return usage_error(m, "disk", err, status);
	snprintf(name, sizeof(name), "disk %s", slash ? slash + 1 : d->path);
	return virtio_blk_create(&m->bus, disk, name, d->serial);
}

/* A disk or CD in the IDE drive @unit; the controller comes with the first. */
static int create_ide(struct machine *m, struct ide **ide, u32 unit, const char *path,
		      bool read_only, bool is_cd, int *status)
{
	char err[DISK_ERR_BYTES], name[32];
	const char *slash = strrchr(path, '/');
	struct disk *disk = disk_open(path, read_only, err);
	int ret = 0;

	if (disk && is_cd && disk_sectors(disk) < IDE_CD_BLOCK / DISK_SECTOR) {
		snprintf(err, sizeof(err), "%s: is shorter than a block of a CD, 2048 bytes", path);
		disk_close(disk);
		disk = NULL;
	}
	if (!disk)
		return usage_error(m, is_cd ? "cdrom" : "disk", err, status);
	if (!*ide)
		*ide = ide_create(&m->bus, &ret);
	if (!*ide) {
		disk_close(disk);
		return ret;
	}
	snprintf(name, sizeof(name), "%s %s", is_cd ? "CD" : "disk", slash ? slash + 1 : path);
	ide_attach(*ide, unit, disk, is_cd, name);
	return 0;
}

/* Disks on the first channel, CD drives on the second. */
static int create_ide_drives(struct machine *m, int *status)
{
	struct ide *ide = NULL;
	u32 unit = 0;
	int err = 0;

	for (unsigned i = 0; i < m->desc->ndisks && !err; i++)
		if (m->desc->disk[i].is_ide)
			err = create_ide(m, &ide, unit++, m->desc->disk[i].path,
					 m->desc->disk[i].read_only, false, status);
	for (unsigned i = 0; i < m->desc->ncdroms && !err; i++)
		err = create_ide(m, &ide, 2 + i, m->desc->cdrom[i], true, true, status);
	return err;
}

static int create_net(struct machine *m, int *status)
{
	const struct machine_net *d = &m->desc->net;
	struct usernet_forward forward[MACHINE_MAX_FORWARDS];
	const u8 mac[NET_MAC_BYTES] = MAC_ADDRESS(m->id);
	char text[USERNET_ERR_BYTES];
	struct net_peer peer;
	int err;

	for (unsigned i = 0; i < d->nforwards; i++)
		forward[i] = (struct usernet_forward){d->forward[i].udp, d->forward[i].host_port,
						      d->forward[i].guest_port};
	struct usernet *net = usernet_create(forward, d->nforwards, text);

	if (!net)
		return usage_error(m, "net", text, status);
	usernet_peer(net, &peer);
	m->bus.locked = true; /* the network's thread */
	struct virtio_net *card = virtio_net_create(&m->bus, mac, &peer, &err);

	return card ? usernet_start(net, card) : err;
}

static int create_console(struct machine *m, int *status)
{
	const char *path = m->desc->console;
	int err = 0;

	m->console_is_terminal = !strcmp(path, "-");
	m->console_out = m->console_is_terminal ? chardev_open_fd(STDOUT_FILENO, false, true)
						: chardev_open_file(path, &err);
	if (err) {
		char text[512];

		snprintf(text, sizeof(text), "%s: %s", path, strerror(-err));
		return usage_error(m, "console", text, status);
	}
	if (!m->console_out)
		return -ENOMEM;
	m->console = virtio_console_create(&m->bus, m->console_out, &err);
	return err;
}

static int create_rom(struct machine *m, int *status)
{
	char err[ROM_ERR_BYTES];

	m->rom = rom_create(&m->bus, m->desc->image, err);
	return m->rom ? absent_create(&m->bus) : usage_error(m, "firmware", err, status);
}

/* What the user chose, on the PCI bus in this order. */
static int create_virtio(struct machine *m, int *status)
{
	int err = 0;

	for (unsigned i = 0; i < m->desc->ndisks && !err; i++)
		if (!m->desc->disk[i].is_ide)
			err = create_disk(m, &m->desc->disk[i], status);
	if (!err && m->desc->net.user)
		err = create_net(m, status);
	if (!err && m->desc->console)
		err = create_console(m, status);
	if (!err && m->desc->rng)
		err = virtio_rng_create(&m->bus, m->host->opts->seed);
	return err;
}

static int create_interrupt_controllers(struct machine *m)
{
	int err;

	if (!pic_create(&m->bus, &err) || !pit_create(&m->bus, &err))
		return err;
	for (u32 i = 0; i < m->nvcpus; i++)
		if (!lapic_create(&m->bus, i, &err))
			return err;
	return ioapic_create(&m->bus, &err) ? 0 : err;
}

int machine_create_devices(struct machine *m, const struct machine_bus_ops *ops, int *status)
{
	u64 epoch = m->host->clock.kind == CLOCK_KIND_HOST ? (u64)time(NULL) : RTC_EPOCH_VIRTUAL;
	int err = bus_init(&m->bus, ops, m, m->mem, &m->host->clock, m->nvcpus);

	if (err)
		return err;
	m->bus.maxphyaddr = m->profile.features.maxphyaddr;
	err = create_interrupt_controllers(m);
	if (err)
		return err;
	m->uart = uart_create(&m->bus, PORT_COM1, GSI_COM1, m->serial, &err);
	if (!m->uart)
		return err;
	if ((err = debugexit_create(&m->bus)) || (err = e9_create(&m->bus, m->debugcon)) ||
	    (err = deadline_port_create(&m->bus)) || (err = board_create(&m->bus, epoch)))
		return err;
	err = machine_create_hotplug(m);
	if (err)
		return err;
	m->fw_cfg = fw_cfg_create(&m->bus, &err);
	if (m->fw_cfg)
		m->vga = vga_create(&m->bus, &err);
	if (!err && m->desc->is_firmware)
		err = create_rom(m, status);
	if (!err)
		err = create_virtio(m, status);
	if (!err)
		err = create_ide_drives(m, status);
	return err || !m->rom ? err : piix_create(&m->bus);
}

struct e820_entry {
	u64 base, bytes;
	u32 type;
} __packed;

/* A command of SeaBIOS's table loader: put a file where the system looks for it. */
struct loader_allocate {
	u32 command;
	char file[FW_CFG_NAME_BYTES];
	u32 align;
	u8 zone;
	u8 padding[63];
} __packed;
BUILD_ASSERT_SIZE(struct loader_allocate, 128);
#define LOADER_ALLOCATE 1u
#define ZONE_FSEG 2u
#define E820_RAM 1u
#define E820_RESERVED 2u

static int set_memory_map(struct machine *m)
{
	u64 ram = mem_ram_bytes(m->mem), low = MIN(ram, MEM_HOLE_START);
	const struct e820_entry map[] = {
		{0, m->boot.ram_end, E820_RAM},
		{m->boot.ram_end, low - m->boot.ram_end, E820_RESERVED},
		{PCI_ECAM, PCI_ECAM_BYTES, E820_RESERVED},
		{MEM_HOLE_END, ram - low, E820_RAM},
	};

	return fw_cfg_set(m->fw_cfg, "etc/e820", map,
			  sizeof(map) - (ram > low ? 0 : sizeof(map[0])));
}

static int set_tables(struct machine *m)
{
	const struct loader_allocate load = {.command = LOADER_ALLOCATE,
					     .file = "etc/acpi/rsdp",
					     .align = 16,
					     .zone = ZONE_FSEG};
	static u8 smbios[SMBIOS_TABLES_MAX];
	u8 anchor[SMBIOS_ANCHOR_BYTES];
	u32 n = boot_smbios(m->mem, m->nvcpus, smbios, anchor);
	int err = fw_cfg_set(m->fw_cfg, "etc/acpi/rsdp", m->boot.rsdp, sizeof(m->boot.rsdp));

	if (!err)
		err = fw_cfg_set(m->fw_cfg, "etc/table-loader", &load, sizeof(load));
	if (!err)
		err = fw_cfg_set(m->fw_cfg, "etc/smbios/smbios-tables", smbios, n);
	return err ? err
		   : fw_cfg_set(m->fw_cfg, "etc/smbios/smbios-anchor", anchor, sizeof(anchor));
}

/* The VGA BIOS that lies beside the firmware, as Debian's package has it. */
static int set_vga_bios(struct machine *m)
{
	const char *slash = strrchr(m->desc->image, '/');
	char path[4096];
	struct stat st;
	int err = 0;

	snprintf(path, sizeof(path), "%.*svgabios-isavga.bin",
		 slash ? (int)(slash + 1 - m->desc->image) : 0, m->desc->image);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return 0;
	u8 *rom = !fstat(fd, &st) && st.st_size > 0 && st.st_size <= VGA_BIOS_MAX
			  ? malloc((size_t)st.st_size)
			  : NULL;

	if (rom && read(fd, rom, (size_t)st.st_size) == st.st_size)
		err = fw_cfg_set(m->fw_cfg, "vgaroms/isavga.bin", rom, (u32)st.st_size);
	free(rom);
	close(fd);
	return err;
}

int machine_configure_firmware(struct machine *m)
{
	static const u64 serial_console = PORT_COM1, no_menu = 0;
	int err = set_memory_map(m);

	if (!err)
		err = set_tables(m);
	if (!err)
		err = set_vga_bios(m);
	if (!err)
		err = fw_cfg_set(m->fw_cfg, "etc/sercon-port", &serial_console,
				 sizeof(serial_console));
	return err ? err : fw_cfg_set(m->fw_cfg, "etc/show-boot-menu", &no_menu, sizeof(no_menu));
}

void machine_dump_screen(struct machine *m)
{
	const char *path = m->desc->vga_dump;
	FILE *to = !path ? NULL : strcmp(path, "-") ? fopen(path, "w") : stderr;

	if (path && !to)
		fprintf(stderr, "nestor: %s: %s: %s: %s\n", m->desc->name,
			place_text(m->desc->places, "vga-dump", NULL), path, strerror(errno));
	if (!to)
		return;
	vga_dump(m->vga, to);
	if (to != stderr && fclose(to))
		fprintf(stderr, "nestor: %s: %s: %s: %s\n", m->desc->name,
			place_text(m->desc->places, "vga-dump", NULL), path, strerror(errno));
}

size_t machine_input(struct machine *m, const void *bytes, size_t n)
{
	return m->console_is_terminal ? virtio_console_input(m->console, bytes, n)
				      : uart_input(m->uart, bytes, n);
}
