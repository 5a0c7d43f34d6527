# The viewer on a made-up run, for tests/viewer/*_test.sh.
ifneq ($(MAIN_OBJ),)
test-programs: $(B)/tests/viewer/film
endif
