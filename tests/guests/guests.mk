# Test guests: freestanding programs that run as L1 under ./nestor (tests/guests/guests_test.sh).
# NAME.c or NAME.S with start32.S or start64.S and the kit; which, the two lists say.
TG_OUT := $(B)/tests/guests
TG_32 := real prot16 prot32 paging32 task v86
TG_64 := long64 paging64 pku64 la57 compat irq64 stale64 spin_smp reset64 many_smp hotplug_smp debug64 misuse_smp vkeep64 pmu64 mwait_smp stale_smp
TG_CFLAGS := -std=gnu11 -O1 -g -ffreestanding -nostdlib -nostdinc \
	-isystem $(shell $(CC) -print-file-name=include) -I. -Wall -Wextra -Werror \
	-fno-pic -fno-pie -fno-stack-protector -fno-asynchronous-unwind-tables -fcf-protection=none \
	-fno-strict-aliasing -mgeneral-regs-only
TG_LDFLAGS := -nostdlib -static --build-id=none --no-warn-rwx-segments -z noexecstack \
	-z max-page-size=4096 -T tests/guests/link.ld
tg_cc = @mkdir -p $(@D) && echo '  CC      $< ($(2))' && $(CC) $(TG_CFLAGS) $(1) -MMD -MP \
	-MF $(@:.o=.d) -MT $@ -c -o $@.$$$$ $< && mv $@.$$$$ $@

$(TG_OUT)/%.32.o: tests/guests/%.c
	$(call tg_cc,-m32 -march=i686,32)
$(TG_OUT)/%.32.o: tests/guests/%.S
	$(call tg_cc,-m32 -march=i686,32)
$(TG_OUT)/%.64.o: tests/guests/%.c
	$(call tg_cc,-m64 -mcmodel=small -mno-red-zone,64)
$(TG_OUT)/%.64.o: tests/guests/%.S
	$(call tg_cc,-m64 -mcmodel=small -mno-red-zone,64)

$(TG_32:%=$(TG_OUT)/%.elf): $(TG_OUT)/%.elf: $(TG_OUT)/start32.32.o $(TG_OUT)/%.32.o $(TG_OUT)/kit.32.o \
		tests/guests/link.ld
	@ld -m elf_i386 $(TG_LDFLAGS) -o $@.$$$$ $(filter %.o,$^) && mv $@.$$$$ $@
# A multiboot loader wants ELF32 also around 64-bit code.
$(TG_64:%=$(TG_OUT)/%.elf): $(TG_OUT)/%.elf: $(TG_OUT)/start64.64.o $(TG_OUT)/%.64.o $(TG_OUT)/kit.64.o \
		tests/guests/link.ld
	@ld -m elf_x86_64 $(TG_LDFLAGS) -o $@.$$$$ $(filter %.o,$^) && \
	$(OBJCOPY) -O elf32-i386 --strip-debug $@.$$$$ $@.32.$$$$ && mv $@.32.$$$$ $@ && rm -f $@.$$$$

GUEST_IMAGES += $(patsubst %,$(TG_OUT)/%.elf,$(TG_32) $(TG_64))

-include $(shell find $(TG_OUT) -name '*.d' 2>/dev/null)
