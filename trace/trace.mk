# What the build makes from l0/arch/events.def: the provider's enumerations and docs/events.md.

GEN_EVENTS := $(BUILD)/gen/gen_events

$(GEN_EVENTS): trace/gen/gen_events.c l0/arch/events.c $(wildcard l0/arch/*.def l0/arch/*.h) \
               l0/base/types.h config.mk | $(BUILD)/.deps-ok
	@mkdir -p $(@D)
	@echo '  CC      trace/gen/gen_events.c'
	@$(CC) $(CPPFLAGS) $(CFLAGS_COMMON) -O1 -o $@.$$$$ $(filter %.c,$^) && mv $@.$$$$ $@

$(BUILD)/gen/provider_enums.h: $(GEN_EVENTS)
	@$< enums >$@.$$$$ && mv $@.$$$$ $@

$(BUILD)/docs/events.md: $(GEN_EVENTS)
	@mkdir -p $(@D)
	@$< docs >$@.$$$$ && mv $@.$$$$ $@

$(B)/prov/trace/provider.o: CPPFLAGS += -I$(BUILD)/gen
$(B)/prov/trace/provider.o: $(BUILD)/gen/provider_enums.h

all: $(BUILD)/docs/events.md
test-programs: $(B)/tests/trace/emit

# The page of report --html is part of the program.
$(call obj,trace/bt2/export_html.c): trace/bt2/timeline.html
