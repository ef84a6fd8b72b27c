# scorpio - one Makefile, no recursion. `make help` lists the targets.
#
# Knobs: VARIANT=release|dev|asan|tsan|cov  V=1 (show commands)  PREFIX DESTDIR
#        CC CXX CFLAGS LDFLAGS  TESTS="unit mount ..." (what `make test` runs)
#        SCORPIO_FIXTURES=DIR (where tests and benches keep large downloads)
.DEFAULT_GOAL := all
VERSION   := $(shell sed -n 's/^.define SCORPIO_VERSION "\(.*\)"/\1/p' include/scorpio/version.h)
VARIANT   ?= release
PREFIX    ?= /usr/local
LIBDIR    ?= $(PREFIX)/lib
PLUGINDIR ?= $(LIBDIR)/scorpio/plugins
UNITDIR   ?= $(PREFIX)/lib/systemd/system
OUT       := $(if $(filter release,$(VARIANT)),build,build/$(VARIANT))
O         := $(OUT)/obj
Q         := $(if $(V),,@)

# what the core needs, and what single parts need on top
PKGS      := fuse3 libcurl libzstd jansson libcrypto libmicrohttpd tomlplusplus libxxhash
PKGS.git  := libgit2 zlib
PKGS.nix  := liblzma libbrotlidec zlib
LIBS.core := -llmdb -lbz2 -ldl
LIBS.plugin.monogate := -ljansson -lcrypto
LIBS.plugin.nixcache := -ljansson -lcrypto -llzma -lbrotlidec -lzstd -lz -lbz2
# files of a backend that a plugin has a copy of
SHARED.nixcache := $(addprefix backends/nix/,narinfo.c nar.c nartree.c pieces.c trust.c unpack.c nix32.c)

# targets that work before anything is installed
BARE := deps help clean bench proof asan tsan cov
ifneq ($(filter-out $(BARE) run test,$(or $(MAKECMDGOALS),all)),)
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS) $(PKGS.git) $(PKGS.nix))
PKG_LIBS   := $(shell pkg-config --libs $(PKGS) $(PKGS.git) $(PKGS.nix)) $(LIBS.core)
# an option that came with a security update of Debian 12, same version number
GIT2_H     := $(shell pkg-config --variable=includedir libgit2)/git2/common.h
PKG_CFLAGS += $(if $(shell grep -s SET_PACK_MAX_OBJECT_SIZE $(GIT2_H)),-DHAVE_PACK_MAX_OBJECT_SIZE)
endif

WARN := -Wall -Wextra -Wshadow -Wvla -Wwrite-strings -Wformat=2 -Wno-format-nonliteral
WARN.c := -Wstrict-prototypes -Wmissing-prototypes
OPT.release := -O2 -g -D_FORTIFY_SOURCE=2 -fstack-protector-strong
OPT.dev     := -O0 -g3 -Werror -DSCORPIO_DEV
OPT.asan    := -O1 -g3 -Werror -DSCORPIO_DEV -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
OPT.tsan    := -O1 -g3 -Werror -DSCORPIO_DEV -fsanitize=thread
OPT.cov     := -O0 -g3 --coverage -DSCORPIO_DEV
BASE_FLAGS = $(WARN) $(OPT.$(VARIANT)) -fvisibility=hidden -fPIC -pthread -D_GNU_SOURCE -MMD -MP \
	-DPLUGINDIR='"$(PLUGINDIR)"'
C_FLAGS    = -std=gnu11 $(WARN.c) $(BASE_FLAGS) $(CFLAGS)
CXX_FLAGS  = -std=c++17 -fno-rtti $(BASE_FLAGS) $(CXXFLAGS)
INC.private := -I. -Iinclude
INC.public  := -Iinclude
INC = $(INC.private)

SRC.backends := $(wildcard backends/*.c backends/*/*.c)
SRC.main := api/cli/main.c
SRC.lib := $(wildcard core/*.c core/*.cc cache/*.c fs/*.c plugins/*.c api/*.c api/antares/*.c api/classic/*.c api/gitwork/*.c api/http/*.c api/roles/*.c) \
	$(filter-out $(SRC.main),$(wildcard api/cli/*.c)) $(SRC.backends)
SRC.plugins := $(wildcard plugins/*/*.c)
SRC.unit := $(wildcard tests/unit/check_*.c)
SRC.testlib := $(wildcard tests/lib/*.c)
SRC.tools := $(wildcard tests/tools/*.c)
obj = $(addprefix $(O)/,$(addsuffix .o,$(basename $(1))))

LIB  := $(O)/libscorpio.a
BIN  := $(OUT)/scorpio
CHECK := $(OUT)/scorpio-check-backend
FSMONITOR := $(OUT)/scorpio-fsmonitor
PLUGIN_NAMES := $(sort $(patsubst plugins/%/,%,$(dir $(SRC.plugins))))
PLUGINS := $(patsubst %,$(OUT)/plugins/%.so,$(PLUGIN_NAMES))
UNIT := $(patsubst tests/unit/%.c,$(OUT)/unit/%,$(SRC.unit))
TOOLS := $(patsubst tests/tools/%.c,$(OUT)/tools/%,$(SRC.tools))
# tools of several files: tests/tools/NAME/*.c
BIGTOOLS := $(patsubst tests/tools/%/,$(OUT)/tools/%,$(sort $(dir $(wildcard tests/tools/*/*.c))))
REPLAY := $(patsubst tests/fuzz/%.c,$(OUT)/replay/%,$(wildcard tests/fuzz/fuzz_*.c))

# backends and plugins see only the public headers: the ABI is what they use
$(call obj,$(SRC.backends) $(SRC.plugins)): INC = $(INC.public)
$(call obj,$(wildcard plugins/nixcache/*.c)): INC = $(INC.public) -Ibackends/nix

# rebuild everything when the compiler or its flags change, and only then
ifneq ($(filter-out $(BARE) run test,$(or $(MAKECMDGOALS),all)),)
FLAGS_NOW := $(CC) $(CXX) $(C_FLAGS) $(CXX_FLAGS) $(PKG_CFLAGS) $(LDFLAGS)
STAMP := $(shell mkdir -p $(O); printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' | cmp -s - $(O)/.flags || printf '%s\n' '$(subst ','\'',$(FLAGS_NOW))' > $(O)/.flags)
endif

.PHONY: all deps run test check bench proof asan tsan cov dev fuzz fuzz-run lint fmt fmt-check headers \
	install uninstall clean help unit tools
# as many jobs as there are cores, unless the caller chose
PARALLEL = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

all: $(BIN) $(PLUGINS) $(CHECK) $(FSMONITOR) ## build the daemon (build/scorpio) and the plugins

$(O)/%.o: %.c $(O)/.flags
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CC   $<")
	$(Q)$(CC) $(C_FLAGS) $(INC) $(PKG_CFLAGS) $(CPPFLAGS) -c $< -o $@
$(O)/%.o: %.cc $(O)/.flags
	@mkdir -p $(@D)
	@$(if $(V),,echo "  CXX  $<")
	$(Q)$(CXX) $(CXX_FLAGS) $(INC) $(PKG_CFLAGS) $(CPPFLAGS) -c $< -o $@
$(O)/api/http/page.o: api/http/page.html
$(LIB): $(call obj,$(SRC.lib))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(BIN): $(call obj,$(SRC.main)) $(LIB)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CXX) $(BASE_FLAGS) $(LDFLAGS) $^ $(PKG_LIBS) -o $@
$(CHECK): $(call obj,$(wildcard tests/contract/*.c)) $(LIB)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CXX) $(BASE_FLAGS) $(LDFLAGS) $^ $(PKG_LIBS) -o $@
# git starts it for every command: nothing but the C library
$(FSMONITOR): $(O)/api/gitwork/helper/fsmonitor.o
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(C_FLAGS) $(LDFLAGS) $^ -o $@

.SECONDARY: # keep the objects
.SECONDEXPANSION:
$(OUT)/plugins/%.so: $$(call obj,$$(wildcard plugins/$$*/*.c) $$(SHARED.$$*))
	@mkdir -p $(@D)
	@$(if $(V),,echo "  SO   $@")
	$(Q)$(CC) $(C_FLAGS) -shared $(LDFLAGS) $^ $(LIBS.plugin.$*) -o $@
$(O)/libtests.a: $(call obj,$(SRC.testlib))
	@rm -f $@
	$(Q)$(AR) rcs $@ $^
$(OUT)/unit/%: $(O)/tests/unit/%.o $(if $(SRC.testlib),$(O)/libtests.a) $(LIB)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CXX) $(BASE_FLAGS) $(LDFLAGS) $^ $(PKG_LIBS) $(shell pkg-config --libs check) -o $@
$(BIGTOOLS): $(OUT)/tools/%: $$(call obj,$$(wildcard tests/tools/$$*/*.c))
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CC) $(C_FLAGS) $(LDFLAGS) $^ -o $@
$(OUT)/tools/%: $(O)/tests/tools/%.o $(LIB)
	@mkdir -p $(@D)
	$(Q)$(CXX) $(BASE_FLAGS) $(LDFLAGS) $^ $(PKG_LIBS) -o $@

# the fuzz targets as plain programs that replay their corpus: no clang needed
$(OUT)/replay/%: $(O)/tests/fuzz/%.o $(O)/tests/fuzz/replay.o $(LIB)
	@mkdir -p $(@D)
	@$(if $(V),,echo "  LINK $@")
	$(Q)$(CXX) $(BASE_FLAGS) $(LDFLAGS) $^ $(PKG_LIBS) -o $@

unit: $(UNIT) $(REPLAY) ## build the unit tests
tools: $(TOOLS) $(BIGTOOLS) ## build the helper programs of tests and benches

deps: ## install the Debian packages that build and tests need
	@tests/deps.sh
run: deps ## mount this clone's own history and look around (Ctrl-C ends it)
	@$(MAKE) --no-print-directory $(PARALLEL) all
	@$(BIN) try
test: deps ## install what is needed, build, run every test that can run
	@$(MAKE) --no-print-directory $(PARALLEL) all unit tools
	@SCORPIO_BUILD=$(CURDIR)/$(OUT) tests/run $(TESTS)
check: all unit tools ## the tests without installing anything
	@SCORPIO_BUILD=$(CURDIR)/$(OUT) tests/run $(TESTS)
bench: ## ratios against ext4, overlayfs and git, measured in one run
	@tests/deps.sh bench
	@$(MAKE) --no-print-directory $(PARALLEL) all tools
	@SCORPIO_BUILD=$(CURDIR)/$(OUT) tests/bench/run $(BENCHES)
proof: ## the long proofs (hours)
	@tests/deps.sh bench
	@$(MAKE) --no-print-directory $(PARALLEL) all unit tools
	@SCORPIO_BUILD=$(CURDIR)/$(OUT) tests/proof/run
asan tsan cov: ## the suite under AddressSanitizer+UBSan, ThreadSanitizer, or with coverage
	@$(MAKE) --no-print-directory $(PARALLEL) VARIANT=$@ check
dev: ## warnings are errors, no optimisation, compile_commands.json
	@$(MAKE) --no-print-directory VARIANT=dev all unit tools compile_commands.json
compile_commands.json: Makefile
	@{ echo '['; sep=; for f in $(filter %.c,$(SRC.lib)) $(SRC.main) $(SRC.plugins) $(SRC.unit); do \
	printf '%s{"directory":"%s","file":"%s","command":"%s -c %s"}\n' "$$sep" '$(CURDIR)' "$$f" \
	'cc -std=gnu11 -D_GNU_SOURCE $(INC.private) $(PKG_CFLAGS)' "$$f"; sep=,; done; echo ']'; } > $@

# libFuzzer targets (clang). `make fuzz` builds, `make fuzz-run SECONDS=60` runs
FUZZ := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
SECONDS ?= 60
fuzz: $(FUZZ) ## build the fuzz targets with clang
fuzz-run: fuzz ## run each fuzz target for SECONDS (60)
	@tests/fuzz/run $(SECONDS)
FUZZ_LIB := build/fuzz/libscorpio.a
FUZZ_FLAGS := -std=gnu11 -g -O1 -pthread -D_GNU_SOURCE -DSCORPIO_DEV -fsanitize=address,undefined -fno-sanitize-recover=all
$(FUZZ_LIB): $(SRC.lib) $(wildcard */*.h */*/*.h)
	@mkdir -p build/fuzz/obj
	@for f in $(filter %.c,$(SRC.lib)); do o=build/fuzz/obj/$$(echo $$f | tr / _).o; \
	clang $(FUZZ_FLAGS) -fsanitize=fuzzer-no-link $(INC.private) $(PKG_CFLAGS) -DPLUGINDIR='""' -c $$f -o $$o || exit 1; done
	@for f in $(filter %.cc,$(SRC.lib)); do o=build/fuzz/obj/$$(echo $$f | tr / _).o; \
	clang++ $(subst gnu11,c++17,$(FUZZ_FLAGS)) -fno-rtti -fsanitize=fuzzer-no-link $(INC.private) $(PKG_CFLAGS) -c $$f -o $$o || exit 1; done
	@rm -f $@; ar rcs $@ build/fuzz/obj/*.o
build/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(FUZZ_LIB)
	@echo "  FUZZ $@"
	$(Q)clang $(FUZZ_FLAGS) -fsanitize=fuzzer $(INC.private) $(PKG_CFLAGS) $< $(FUZZ_LIB) $(PKG_LIBS) -lstdc++ -o $@

lint: headers ## dependency direction, sizes, static analysis, shell scripts
	@tests/lint.sh --full
fmt: ## format the C code
	@git ls-files '*.c' '*.h' | xargs -r clang-format -i
fmt-check:
	@git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
headers: ## every public header compiles alone, as C99 and C++11
	@for h in include/scorpio/*.h; do n=scorpio/$$(basename $$h); \
	printf '#include <%s>\nint main(void) { return 0; }\n' $$n | $(CC) -std=c99 -Wall -Wextra -Wpedantic -Werror $(INC.public) -fsyntax-only -x c - || exit 1; \
	printf '#include <%s>\nint main() { return 0; }\n' $$n | $(CXX) -std=c++11 -Wall -Wextra -Werror $(INC.public) -fsyntax-only -x c++ - || exit 1; done

install: all ## install below $(DESTDIR)$(PREFIX)
	install -D -m755 $(BIN) $(DESTDIR)$(PREFIX)/bin/scorpio
	ln -sf scorpio $(DESTDIR)$(PREFIX)/bin/antares
	install -m755 $(CHECK) $(FSMONITOR) $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(PREFIX)/include/scorpio $(DESTDIR)$(PLUGINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig \
		$(DESTDIR)$(PREFIX)/share/scorpio
	install -m644 include/scorpio/*.h $(DESTDIR)$(PREFIX)/include/scorpio/
	install -m755 $(PLUGINS) $(DESTDIR)$(PLUGINDIR)/
	install -m644 scorpio.toml.template $(DESTDIR)$(PREFIX)/share/scorpio/
	install -D -m644 -t $(DESTDIR)$(PREFIX)/share/man/man1 docs/man/*.1
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|' packaging/systemd/scorpio@.service > $(DESTDIR)$(UNITDIR)/scorpio@.service
	printf 'plugindir=%s\nabi=1\nName: scorpio\nDescription: headers for scorpio plugins\nVersion: %s\nCflags: -I%s\nLibs:\n' \
		'$(PLUGINDIR)' '$(VERSION)' '$(PREFIX)/include' > $(DESTDIR)$(LIBDIR)/pkgconfig/scorpio.pc
uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/include/scorpio $(DESTDIR)$(LIBDIR)/scorpio $(DESTDIR)$(PREFIX)/share/scorpio
	rm -f $(DESTDIR)$(PREFIX)/bin/scorpio $(DESTDIR)$(PREFIX)/bin/antares $(DESTDIR)$(PREFIX)/bin/scorpio-check-backend $(DESTDIR)$(PREFIX)/bin/scorpio-fsmonitor $(DESTDIR)$(LIBDIR)/pkgconfig/scorpio.pc
	rm -f $(DESTDIR)$(UNITDIR)/scorpio@.service
	rm -f $(patsubst docs/man/%,$(DESTDIR)$(PREFIX)/share/man/man1/%,$(wildcard docs/man/*.1))
clean: ## remove build/
	rm -rf build compile_commands.json
help: ## this list
	@awk -F':.*## ' '/^[a-z -]+:.*## /{printf "  %-14s %s\n",$$1,$$2}' $(firstword $(MAKEFILE_LIST))

-include $(shell find $(O) -name '*.d' 2>/dev/null)
