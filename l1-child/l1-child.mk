# Freestanding child VMMs and their guests. Their own flags: nothing of the host's build (sanitizers,
# libc, optimisation mode) may reach code that runs inside the machine.
L1_OUT := $(B)/l1-child
L1_CC ?= $(CC)
L1_LD ?= ld
L1_OBJCOPY ?= $(OBJCOPY)
L1_WARN := -Wall -Wextra -Werror -Wno-override-init -Wmissing-prototypes -Wstrict-prototypes
L1_COMMON := -std=gnu11 -O2 -g -ffreestanding -nostdlib -nostdinc \
	-isystem $(shell $(L1_CC) -print-file-name=include) -I. $(L1_WARN) \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -mgeneral-regs-only -MMD -MP
L1_CFLAGS64 := $(L1_COMMON) -m64 -mcmodel=small -mno-red-zone
L1_CFLAGS32 := $(L1_COMMON) -m32 -march=i686
L1_LDFLAGS := -nostdlib -static --build-id=none --no-warn-rwx-segments -z noexecstack \
	-z max-page-size=4096

GUEST_IMAGES += $(L1_OUT)/hello.elf

$(L1_OUT)/%.o: l1-child/%.S
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS64) -c -o $@ $<

$(L1_OUT)/%.o: l1-child/%.c
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS64) -c -o $@ $<

$(L1_OUT)/%.32.o: l1-child/%.S
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS32) -c -o $@ $<

$(L1_OUT)/%.32.o: l1-child/%.c
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS32) -c -o $@ $<

$(L1_OUT)/hello.elf: $(L1_OUT)/boot/hello.32.o l1-child/boot/hello.ld
	$(L1_LD) -m elf_i386 $(L1_LDFLAGS) -T l1-child/boot/hello.ld -o $@ $<

-include $(shell find $(L1_OUT) -name '*.d' 2>/dev/null)

# Guests of the child VMM: flat images, named guest-KIND-BITS.bin, linked into it.
L1_GUESTS64 := rt batch idle spin procs
L1_GUESTS32 := rt batch idle spin
L1_LOOPS := cpuid vmcall
L1_BLOBS := $(L1_GUESTS64:%=$(L1_OUT)/guest-%-64.bin) $(L1_GUESTS32:%=$(L1_OUT)/guest-%-32.bin) \
	$(L1_LOOPS:%=$(L1_OUT)/guest-%-64.bin)
L1_KIT := guests/entry guests/kit lib/str
L1_PROCS := guests/procs_vm guests/procs_entry

$(L1_OUT)/guest-procs-64.elf: $(L1_PROCS:%=$(L1_OUT)/%.o)
$(L1_OUT)/guest-%-64.elf: $(L1_OUT)/guests/%.o $(L1_KIT:%=$(L1_OUT)/%.o) l1-child/guests/guest.ld
	$(L1_LD) -m elf_x86_64 $(L1_LDFLAGS) -e kit_start -T l1-child/guests/guest.ld -o $@ \
		$(filter %.o,$^)

$(L1_OUT)/guest-%-32.elf: $(L1_OUT)/guests/%.32.o $(L1_KIT:%=$(L1_OUT)/%.32.o) \
		l1-child/guests/guest.ld
	$(L1_LD) -m elf_i386 $(L1_LDFLAGS) -e kit_start -T l1-child/guests/guest.ld -o $@ \
		$(filter %.o,$^)

$(L1_OUT)/guest-cpuid-64.elf: private L1_CFLAGS64 += -DLOOP_CPUID
$(L1_LOOPS:%=$(L1_OUT)/guest-%-64.elf): l1-child/guests/loops.S l1-child/guests/guest.ld
	@mkdir -p $(@D)
	$(L1_CC) $(L1_CFLAGS64) -MF $@.d $(L1_LDFLAGS:%=-Wl,%) -Wl,-e,0x100000 \
		-T l1-child/guests/guest.ld -o $@ $<

$(L1_OUT)/guest-%.bin: $(L1_OUT)/guest-%.elf
	$(L1_OBJCOPY) -O binary $< $@

# The child VMM, from the same objects: child.elf is ELF64 with a multiboot header, child64.elf the
# same without the header (only the plain ELF64 contract), child32.elf is ELF32 for multiboot.
L1_BOOT := boot/entry boot/boot lib/console lib/str
L1_VMM := vmm/main vmm/config vmm/clock vmm/irq vmm/traps vmm/page vmm/vmx vmm/ept vmm/l2 \
	vmm/enter vmm/exit vmm/sched vmm/vtimer vmm/blobs vmm/blob_data
L1_CHILD_OBJ := $(addprefix $(L1_OUT)/,$(addsuffix .o,$(L1_BOOT) $(L1_VMM)))
L1_IMAGES := $(L1_OUT)/child.elf $(L1_OUT)/child32.elf $(L1_OUT)/child64.elf
GUEST_IMAGES += $(L1_IMAGES)

# The round-trip benchmark: the same parts without run loop and scheduler.
L1_RTBENCH := $(filter-out vmm/main vmm/exit vmm/sched vmm/vtimer,$(L1_BOOT) $(L1_VMM)) \
	bench/main bench/roundtrip
L1_RTBENCH_OBJ := $(addprefix $(L1_OUT)/,$(addsuffix .o,$(L1_RTBENCH)))
GUEST_IMAGES += $(L1_OUT)/rtbench.elf

$(L1_OUT)/rtbench.elf: $(L1_OUT)/boot/header.o $(L1_RTBENCH_OBJ) l1-child/boot/child.ld
	$(L1_LD) -m elf_x86_64 $(L1_LDFLAGS) -T l1-child/boot/child.ld -o $@ $(filter %.o,$^)

$(L1_OUT)/vmm/blob_data.o: private L1_CFLAGS64 += -Wa,-I,$(L1_OUT)
$(L1_OUT)/vmm/blob_data.o: $(L1_BLOBS)

$(L1_OUT)/child.elf: $(L1_OUT)/boot/header.o $(L1_CHILD_OBJ) l1-child/boot/child.ld
	$(L1_LD) -m elf_x86_64 $(L1_LDFLAGS) -T l1-child/boot/child.ld -o $@ $(filter %.o,$^)

$(L1_OUT)/child64.elf: $(L1_CHILD_OBJ) l1-child/boot/child.ld
	$(L1_LD) -m elf_x86_64 $(L1_LDFLAGS) -T l1-child/boot/child.ld -o $@ $(filter %.o,$^)

$(L1_OUT)/child32.elf: $(L1_OUT)/boot/header.o $(L1_CHILD_OBJ) l1-child/boot/child.ld
	$(L1_LD) -m elf_x86_64 $(L1_LDFLAGS) -e entry32 -T l1-child/boot/child.ld -o $@.64 \
		$(filter %.o,$^)
	$(L1_OBJCOPY) -O elf32-i386 --strip-debug $@.64 $@
	rm -f $@.64
