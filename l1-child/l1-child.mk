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
	-fno-strict-aliasing -mgeneral-regs-only
L1_CFLAGS64 := $(L1_COMMON) -m64 -mcmodel=small -mno-red-zone
L1_CFLAGS32 := $(L1_COMMON) -m32 -march=i686
L1_LDFLAGS := -nostdlib -static --build-id=none --no-warn-rwx-segments -z noexecstack \
	-z max-page-size=4096

# Files appear whole: several makes may run in one tree.
l1_cc = @mkdir -p $(@D) && echo '  CC      $<$(2)' && $(L1_CC) $(1) -MMD -MP -MF $(@:.o=.d) -MT $@ \
	-c -o $@.$$$$ $< && mv $@.$$$$ $@
l1_ld = @mkdir -p $(@D) && echo '  LD      $@' && $(L1_LD) $(L1_LDFLAGS) $(1) -o $@.$$$$ \
	$(filter %.o,$^) && mv $@.$$$$ $@

$(L1_OUT)/%.o: l1-child/%.S
	$(call l1_cc,$(L1_CFLAGS64))

$(L1_OUT)/%.o: l1-child/%.c
	$(call l1_cc,$(L1_CFLAGS64))

$(L1_OUT)/%.32.o: l1-child/%.S
	$(call l1_cc,$(L1_CFLAGS32), (32-bit))

$(L1_OUT)/%.32.o: l1-child/%.c
	$(call l1_cc,$(L1_CFLAGS32), (32-bit))

$(L1_OUT)/hello.elf: $(L1_OUT)/boot/hello.32.o l1-child/boot/hello.ld
	$(call l1_ld,-m elf_i386 -T l1-child/boot/hello.ld)

$(L1_OUT)/spinlock.elf: $(L1_OUT)/smp/spinlock.32.o l1-child/boot/hello.ld
	$(call l1_ld,-m elf_i386 -T l1-child/boot/hello.ld)

# Guests of the child VMM: flat images, named guest-KIND-BITS.bin, linked into it.
L1_GUESTS64 := rt batch idle spin crash procs mixed cache
L1_GUESTS32 := rt batch idle spin crash
L1_LOOPS := cpuid vmcall work
L1_BLOBS := $(L1_GUESTS64:%=$(L1_OUT)/guest-%-64.bin) $(L1_GUESTS32:%=$(L1_OUT)/guest-%-32.bin) \
	$(L1_LOOPS:%=$(L1_OUT)/guest-%-64.bin)
L1_KIT := guests/entry guests/kit lib/str
L1_PROCS := guests/procs_vm guests/procs_entry
L1_GUEST_LD := l1-child/guests/guest.ld

$(L1_OUT)/guest-procs-64.elf: $(L1_PROCS:%=$(L1_OUT)/%.o)
$(L1_GUESTS64:%=$(L1_OUT)/guest-%-64.elf): $(L1_OUT)/guest-%-64.elf: $(L1_OUT)/guests/%.o \
		$(L1_KIT:%=$(L1_OUT)/%.o) $(L1_GUEST_LD)
	$(call l1_ld,-m elf_x86_64 -e kit_start -T $(L1_GUEST_LD))

$(L1_GUESTS32:%=$(L1_OUT)/guest-%-32.elf): $(L1_OUT)/guest-%-32.elf: $(L1_OUT)/guests/%.32.o \
		$(L1_KIT:%=$(L1_OUT)/%.32.o) $(L1_GUEST_LD)
	$(call l1_ld,-m elf_i386 -e kit_start -T $(L1_GUEST_LD))

$(L1_OUT)/guests/loop_cpuid.o: l1-child/guests/loops.S
	$(call l1_cc,$(L1_CFLAGS64) -DLOOP_CPUID)

$(L1_OUT)/guests/loop_vmcall.o: l1-child/guests/loops.S
	$(call l1_cc,$(L1_CFLAGS64) -DLOOP_VMCALL)

$(L1_OUT)/guests/loop_work.o: l1-child/guests/loops.S
	$(call l1_cc,$(L1_CFLAGS64) -DLOOP_WORK)

$(L1_LOOPS:%=$(L1_OUT)/guest-%-64.elf): $(L1_OUT)/guest-%-64.elf: $(L1_OUT)/guests/loop_%.o \
		$(L1_GUEST_LD)
	$(call l1_ld,-m elf_x86_64 -e 0x100000 -T $(L1_GUEST_LD))

$(L1_OUT)/guest-%.bin: $(L1_OUT)/guest-%.elf
	@$(L1_OBJCOPY) -O binary $< $@.$$$$ && mv $@.$$$$ $@

$(L1_OUT)/vmm/blob_data.o: $(L1_BLOBS)
$(L1_OUT)/vmm/blob_data.o: private L1_CFLAGS64 += -Wa,-I,$(L1_OUT)

# The child VMM, from the same objects: child.elf is ELF64 with a multiboot header, child64.elf the
# same without the header (only the plain ELF64 contract), child32.elf is ELF32 for multiboot.
L1_BOOT := boot/entry boot/boot lib/console lib/str
L1_VMM := vmm/main vmm/config vmm/clock vmm/irq vmm/traps vmm/page vmm/vmx vmm/ept vmm/l2 \
	vmm/enter vmm/exit vmm/sched vmm/vtimer vmm/end vmm/blobs vmm/blob_data
L1_LD_SCRIPT := l1-child/boot/child.ld
l1_objects = $(addprefix $(L1_OUT)/,$(addsuffix .o,$(1)))
L1_CHILD_OBJ := $(call l1_objects,$(L1_BOOT) $(L1_VMM))

$(L1_OUT)/child.elf: $(L1_OUT)/boot/header.o $(L1_CHILD_OBJ) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

$(L1_OUT)/child64.elf: $(L1_CHILD_OBJ) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

$(L1_OUT)/child32.elf.64: $(L1_OUT)/boot/header.o $(L1_CHILD_OBJ) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -e entry32 -T $(L1_LD_SCRIPT))

$(L1_OUT)/child32.elf: $(L1_OUT)/child32.elf.64
	@$(L1_OBJCOPY) -O elf32-i386 --strip-debug $< $@.$$$$ && mv $@.$$$$ $@

# The round-trip benchmark: the same parts without run loop and scheduler.
L1_RTBENCH_OBJ := $(call l1_objects,$(L1_BOOT) bench/main bench/roundtrip \
	$(filter-out vmm/main vmm/exit vmm/sched vmm/vtimer vmm/end,$(L1_VMM)))

$(L1_OUT)/rtbench.elf: $(L1_OUT)/boot/header.o $(L1_RTBENCH_OBJ) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

# The VMX tests: programs that run as L1 (tests/nested).
VMXT_OUT := $(B)/tests/nested
VMXT_OBJ := $(patsubst tests/nested/%,$(VMXT_OUT)/%.o,$(basename \
	$(wildcard tests/nested/*.c tests/nested/*.S)))
VMXT_PARTS := $(call l1_objects,$(L1_BOOT) vmm/clock vmm/irq vmm/traps vmm/page vmm/vmx)

$(VMXT_OUT)/%.o: tests/nested/%.c
	$(call l1_cc,$(L1_CFLAGS64))

$(VMXT_OUT)/%.o: tests/nested/%.S
	$(call l1_cc,$(L1_CFLAGS64))

$(VMXT_OUT)/vmx.elf: $(L1_OUT)/boot/header.o $(VMXT_OBJ) $(VMXT_PARTS) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

# VM entries with nonsense, from the same harness.
$(VMXT_OUT)/vmxfuzz.elf: $(L1_OUT)/boot/header.o $(VMXT_OUT)/fuzz/main.o $(VMXT_OUT)/fuzz/ept.o $(VMXT_OUT)/fuzz/edge.o $(VMXT_OUT)/fuzz/oracle.o $(VMXT_OUT)/vmxt.o \
		$(VMXT_OUT)/enter.o $(VMXT_PARTS) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

# Invalidations of a hypervisor, remembered and forgotten.
$(VMXT_OUT)/vmxstale.elf: $(L1_OUT)/boot/header.o $(VMXT_OUT)/stale/main.o $(VMXT_OUT)/ept.o $(VMXT_OUT)/vmxt.o \
		$(VMXT_OUT)/enter.o $(VMXT_PARTS) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

# Three levels, in the smallest possible way.
$(VMXT_OUT)/vmxdeep.elf: $(L1_OUT)/boot/header.o $(VMXT_OUT)/deep/main.o $(VMXT_OUT)/deep/levels.o $(VMXT_OUT)/vmxt.o \
		$(VMXT_OUT)/enter.o $(VMXT_PARTS) $(L1_LD_SCRIPT)
	$(call l1_ld,-m elf_x86_64 -T $(L1_LD_SCRIPT))

GUEST_IMAGES += $(addprefix $(L1_OUT)/,hello.elf spinlock.elf child.elf child32.elf child64.elf rtbench.elf) \
	$(VMXT_OUT)/vmx.elf $(VMXT_OUT)/vmxfuzz.elf $(VMXT_OUT)/vmxstale.elf $(VMXT_OUT)/vmxdeep.elf

-include $(shell find $(L1_OUT) $(VMXT_OUT) -name '*.d' 2>/dev/null)
