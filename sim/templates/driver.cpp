// Drives a kernel from ctypes: clock, reset, handshake, and the memories of its array ports.
// The struct Kernel, which knows the kernel's ports, is generated and put where its name stands
// between at signs below.

#include "Vtop.h"
#include "verilated.h"

#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#if defined(WAVES_FST)
#define WAVES
#include "verilated_fst_c.h"
using Waves = VerilatedFstC;
#elif defined(WAVES_VCD)
#define WAVES
#include "verilated_vcd_c.h"
using Waves = VerilatedVcdC;
#endif

namespace {

// A port has its bits in an integer, or above 64 bits in 32-bit words, least significant first.
template <class Port>
void put(Port& port, const uint64_t* words) {
    port = static_cast<Port>(*words);
}

template <std::size_t N>
void put(VlWide<N>& port, const uint64_t* words) {
    for (std::size_t i = 0; i < N; i++) port[i] = EData(words[i / 2] >> (32 * (i % 2)));
}

template <class Port>
void get(const Port& port, uint64_t* words) {
    *words = port;
}

template <std::size_t N>
void get(const VlWide<N>& port, uint64_t* words) {
    std::fill_n(words, (N + 1) / 2, 0);
    for (std::size_t i = 0; i < N; i++) words[i / 2] |= uint64_t(port[i]) << (32 * (i % 2));
}

// Where a bank was used last, as cycles of the run (0: never), and a write that it cannot take.
struct Activity {
    uint64_t read = 0;
    uint64_t written = 0;
    uint64_t outside = 0;
    uint64_t address = 0;
};

// One bank of an array: a synchronous RAM of `Words` 64-bit words an element, read before write.
template <std::size_t Words>
struct Bank {
    uint64_t depth;
    uint64_t* memory = nullptr;
    bool answering = false;
    std::array<uint64_t, Words> held{};
    Activity used;

    void attach(uint64_t* words) {
        memory = words;
        used = {};
    }

    // A pipeline may read ahead, past the end, and drop what it got: that reads as zero.
    void read(uint64_t cycle, bool enable, uint64_t address) {
        answering = enable;
        if (!enable) return;
        used.read = cycle;
        if (memory && address < depth)
            std::copy_n(memory + address * Words, Words, held.begin());
        else
            held.fill(0);
    }

    template <class Port>
    void answer(Port& data) {
        if (answering) put(data, held.data());
    }

    // An asynchronous read: whether the word at the address is another one than before.
    template <class Port>
    bool follow(uint64_t address, Port& data) {
        std::array<uint64_t, Words> word{};
        if (memory && address < depth) std::copy_n(memory + address * Words, Words, word.begin());
        if (answering && word == held) return false;
        held = word;
        put(data, held.data());
        return answering = true;
    }

    void note(uint64_t cycle, bool enable) {
        if (enable) used.read = cycle;
    }

    template <class Port>
    void write(uint64_t cycle, bool enable, uint64_t address, const Port& data) {
        if (!enable || !memory) return;
        if (address < depth) {
            used.written = cycle;
            get(data, memory + address * Words);
        } else if (!used.outside) {
            used.outside = cycle;
            used.address = address;
        }
    }
};

// Random numbers (splitmix64), and what they decide: see Stalls in sim/stalls.py.
struct Dice {
    uint64_t state = 0;
    uint64_t percent = 0;

    uint64_t roll() {
        uint64_t word = state += 0x9E3779B97F4A7C15u;
        word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9u;
        word = (word ^ (word >> 27)) * 0x94D049BB133111EBu;
        return word ^ (word >> 31);
    }

    bool waits() { return percent && roll() % 100 < percent; }
};

// What gives the kernel the words of an array.
template <std::size_t Words>
struct Source {
    uint64_t words;
    uint64_t count = words;
    const uint64_t* memory = nullptr;
    uint64_t next = 0;
    bool valid = false;

    // The words of so many runs, one after the other.
    void attach(const uint64_t* from, uint64_t runs) {
        memory = from;
        count = words * runs;
        next = 0;
    }

    void sample(bool ready) {
        if (!valid || !ready) return;
        next++;
        valid = false;
    }

    // Where nothing is on offer the data are ones, for the kernel not to look at.
    template <class Data, class Bit>
    void drive(Data& data, Bit& valid_port, Dice& dice) {
        static constexpr auto ones = [] {
            std::array<uint64_t, Words> all{};
            all.fill(~uint64_t(0));
            return all;
        }();
        if (!memory) valid = false;
        else if (!valid && next < count) valid = !dice.waits();
        put(data, valid ? memory + next * Words : ones.data());
        valid_port = valid;
    }

    bool over() const { return next == count; }

    bool holds_back() const { return !valid && !over(); }
};

// What takes the words of an array from the kernel.
template <std::size_t Words>
struct Sink {
    uint64_t words;
    uint64_t count = words;
    uint64_t* memory = nullptr;
    uint64_t next = 0;
    bool ready = false;
    bool wrong = false;

    void attach(uint64_t* to, uint64_t runs) {
        memory = to;
        count = words * runs;
        next = 0;
        wrong = false;
    }

    template <class Data>
    void sample(bool valid, bool last, const Data& data) {
        if (!valid || !ready) return;
        if (!memory || next == count || last != ((next + 1) % words == 0)) {
            wrong = true;
            return;
        }
        get(data, memory + next++ * Words);
    }

    template <class Bit>
    void drive(Bit& ready_port, Dice& dice) {
        ready = memory && !dice.waits();
        ready_port = ready;
    }

    bool over() const { return next == count; }
};

@kernel@

enum Outcome : int64_t {
    time_out = -1, outside = -2, not_ready = -3, asserted = -4, wrong_word = -5, deadlock = -6
};

// What each process does, cycle by cycle; the numbers are those of allo_rtl.sim.profile.
enum Kind : uint64_t { busy, waits, memory, lacks, misses, takes };
enum State : uint64_t { filling, draining, computing, at_memory, first_wait };

struct Entry {
    uint64_t kind, bit, state;
};

struct Change {
    uint64_t cycle, process, state;
};

struct Watched {
    std::vector<Entry> entries;
    std::vector<uint64_t> counts;
    uint64_t state = filling, missed = filling;
    bool started = false, taken = false;

    // The state in this cycle.  The entries of waits come before those of what a loop lacks.
    uint64_t look(const std::vector<uint64_t>& probes) {
        bool runs = false, takes_now = false, misses_now = false;
        uint64_t held = filling, lacking = filling;
        for (const Entry& e : entries) {
            if (!(probes[e.bit / 64] >> (e.bit % 64) & 1)) continue;
            if (e.kind == busy) runs = true;
            if (e.kind == takes) takes_now = true;
            if (e.kind == misses) misses_now = true;
            if ((e.kind == waits || e.kind == memory) && !held) held = e.state;
            if (e.kind == lacks && !lacking) lacking = e.state;
        }
        if (!runs) return started ? draining : filling;
        started = true;
        if (takes_now) {
            taken = true;
            missed = filling;
        }
        if (misses_now && lacking) missed = lacking;
        uint64_t now = held ? held : missed ? missed : computing;
        return !taken && now >= first_wait && now % 2 == 0 ? filling : now;
    }
};

struct Recorder {
    static constexpr std::size_t most = 4'000'000;
    std::vector<Watched> processes;
    std::vector<Change> changes;
    std::vector<uint64_t> probes;

    // The table: for each process its number of states, that of its entries, and these.
    void begin(const uint64_t* table, uint64_t count, uint64_t words) {
        processes.assign(count, {});
        changes.clear();
        probes.assign(words, 0);
        for (Watched& p : processes) {
            p.counts.assign(*table++, 0);
            p.entries.resize(*table++);
            for (Entry& e : p.entries) {
                e = {table[0], table[1], table[2]};
                table += 3;
            }
        }
    }

    void record(uint64_t cycle) {
        for (std::size_t n = 0; n < processes.size(); n++) {
            Watched& p = processes[n];
            uint64_t state = p.look(probes);
            p.counts[state]++;
            if ((state != p.state || cycle == 1) && changes.size() < most)
                changes.push_back({cycle, n, state});
            p.state = state;
        }
    }
};

// What the kernel writes in this run; where it comes from is known by its last bracket.
thread_local std::string* written = nullptr;

bool tells_of_failure(const std::string& text) {
    std::size_t bracket = text.rfind('[');
    return bracket != std::string::npos && text.compare(bracket, 8, "[assert ") == 0;
}

class Simulation {
    VerilatedContext context;
    Kernel kernel{&context};
    uint64_t time = 0;
    Dice dice;
    std::string output;
#ifdef WAVES
    std::unique_ptr<Waves> waves;
#endif

    void dump(uint64_t now) {
#ifdef WAVES
        if (waves) waves->dump(now);
#endif
    }

    // The first half of a cycle: inputs are set, outputs follow.
    void settle() {
        context.time(10 * time);
        kernel.top.clk = 0;
        kernel.top.eval();
        while (kernel.follow()) kernel.top.eval();
        dump(10 * time);
    }

    // The rising edge at the end of a cycle.  The memories see the ports as they were before it
    // and answer after it.
    void edge(uint64_t cycle) {
        kernel.sample(cycle);
        context.time(10 * time + 5);
        kernel.top.clk = 1;
        kernel.top.eval();
        dump(10 * time + 5);
        kernel.answer();
        kernel.offer(dice);
        time++;
    }

public:
    explicit Simulation(const char* path) {
#ifdef WAVES
        context.traceEverOn(true);
        waves = std::make_unique<Waves>();
        kernel.top.trace(waves.get(), 99);
        waves->open(path);
#endif
        reset();
    }

    ~Simulation() {
        kernel.top.final();
#ifdef WAVES
        waves->close();
#endif
    }

    void stall(uint64_t seed, uint64_t percent) { dice = {seed, percent}; }

    void reset() {
        kernel.detach();
        kernel.offer(dice);
        kernel.start(0);
        kernel.top.rst = 1;
        for (int i = 0; i < 2; i++) {
            settle();
            edge(0);
        }
        kernel.top.rst = 0;
        // State comes back word by word; no memory is larger than this.
        for (uint64_t left = uint64_t(1) << 32; left; left--) {
            settle();
            if (kernel.ready()) break;
            edge(0);
        }
    }

    // Cycles from the one after start to the one before done, or an Outcome.  Then words of results
    // may be under way still: it goes on until they have come.
    int64_t run(uint64_t* const* arrays, const uint64_t* scalars, uint64_t* results,
                uint64_t max_cycles, uint64_t patience, uint64_t in_vain) {
        output.clear();
        written = &output;
        kernel.attach(arrays, 1);
        kernel.offer(dice);
        for (uint64_t late = dice.percent ? dice.roll() % @latest_start@ : 0; late; late--) {
            settle();
            edge(0);
        }
        kernel.arguments(scalars);
        kernel.start(1);
        settle();
        if (!kernel.ready()) return not_ready;
        edge(0);
        kernel.start(0);
        kernel.forget_arguments();
        int64_t outcome = time_out, cycles = time_out;
        uint64_t stuck = 0, vain = 0;
        for (uint64_t cycle = 1; outcome == time_out && cycle <= max_cycles + 1; cycle++) {
            settle();
            if (kernel.done()) {
                kernel.results(results);
                cycles = int64_t(cycle) - 1;
            }
            if (!recorder.processes.empty() && cycles == time_out) {
                kernel.probes(recorder.probes.data());
                recorder.record(cycle);
            }
            // While the outside makes it wait a kernel is in no deadlock, nor out of one.
            uint64_t counts = kernel.held_back() ? 0 : 1;
            stuck = kernel.stuck() ? stuck + counts : 0;
            vain = kernel.vain() ? vain + counts : 0;
            if (stuck > patience || vain > in_vain) outcome = deadlock;
            edge(cycle);
            if (cycles >= 0 && kernel.streams_over()) outcome = cycles;
            if (kernel.wrong_word()) outcome = wrong_word;
            if (kernel.wrote_outside()) outcome = outside;
            if (tells_of_failure(output)) outcome = asserted;
        }
        kernel.detach();
        kernel.offer(dice);
#ifdef WAVES
        waves->flush();
#endif
        return outcome;
    }

    // Several runs of a kernel whose arrays are streams, each started as soon as it is ready;
    // the words of all are one after the other.  `starts` gets the cycles in which runs were
    // started, from 0, and `ends` those before done.  Cycles from the first start, or an Outcome.
    int64_t run_many(uint64_t* const* arrays, uint64_t runs, uint64_t* starts, uint64_t* ends,
                     uint64_t max_cycles, uint64_t patience, uint64_t in_vain) {
        output.clear();
        written = &output;
        kernel.attach(arrays, runs);
        kernel.offer(dice);
        int64_t outcome = time_out;
        uint64_t started = 0, ended = 0, stuck = 0, vain = 0;
        for (uint64_t cycle = 0; outcome == time_out && cycle <= max_cycles; cycle++) {
            kernel.start(started < runs);
            settle();
            if (started < runs && kernel.ready()) starts[started++] = cycle;
            if (kernel.done()) {
                if (ended == started) return wrong_word;
                ends[ended++] = cycle - 1;
            }
            uint64_t counts = kernel.held_back() ? 0 : 1;
            stuck = kernel.stuck() ? stuck + counts : 0;
            vain = kernel.vain() ? vain + counts : 0;
            if (stuck > patience || vain > in_vain) outcome = deadlock;
            edge(cycle);
            if (ended == runs && kernel.streams_over()) outcome = int64_t(ends[runs - 1]);
            if (kernel.wrong_word()) outcome = wrong_word;
            if (tells_of_failure(output)) outcome = asserted;
        }
        kernel.start(0);
        kernel.detach();
        kernel.offer(dice);
#ifdef WAVES
        waves->flush();
#endif
        return outcome;
    }

    // Of the cycle that comes next; there are 64 probes in a word.
    void probes(uint64_t* words) {
        settle();
        kernel.probes(words);
    }

    Recorder recorder;

    const char* text() const { return output.c_str(); }

    void activity(Activity* banks) const { kernel.activity(banks); }

    void progress(uint64_t* words) const { kernel.progress(words); }
};

}  // namespace

// Verilator's runtime prints through this.
extern "C" int allo_rtl_printf(const char* format, ...) {
    std::va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = std::vsnprintf(nullptr, 0, format, args);
    va_end(args);
    if (written && length > 0) {
        std::size_t before = written->size();
        written->resize(before + length + 1);
        std::vsnprintf(written->data() + before, length + 1, format, again);
        written->resize(before + length);
    }
    va_end(again);
    return length;
}

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void* simulation_new(const char* waves) { return new Simulation(waves); }
EXPORT void simulation_free(Simulation* s) { delete s; }
EXPORT void simulation_reset(Simulation* s) { s->reset(); }
EXPORT int64_t simulation_run(Simulation* s, uint64_t* const* arrays, const uint64_t* scalars,
                              uint64_t* results, uint64_t max_cycles, uint64_t patience,
                              uint64_t in_vain) {
    return s->run(arrays, scalars, results, max_cycles, patience, in_vain);
}
EXPORT int64_t simulation_run_many(Simulation* s, uint64_t* const* arrays, uint64_t runs,
                                   uint64_t* starts, uint64_t* ends, uint64_t max_cycles,
                                   uint64_t patience, uint64_t in_vain) {
    return s->run_many(arrays, runs, starts, ends, max_cycles, patience, in_vain);
}
EXPORT void simulation_record(Simulation* s, const uint64_t* table, uint64_t count,
                              uint64_t words) {
    s->recorder.begin(table, count, words);
}
EXPORT uint64_t simulation_counts(const Simulation* s, uint64_t* counts) {
    for (const Watched& p : s->recorder.processes)
        counts = std::copy(p.counts.begin(), p.counts.end(), counts);
    return s->recorder.changes.size();
}
EXPORT void simulation_changes(const Simulation* s, uint64_t* out) {
    for (const Change& c : s->recorder.changes) {
        *out++ = c.cycle;
        *out++ = c.process;
        *out++ = c.state;
    }
}
EXPORT void simulation_probes(Simulation* s, uint64_t* words) { s->probes(words); }
EXPORT void simulation_activity(const Simulation* s, Activity* banks) { s->activity(banks); }
EXPORT void simulation_progress(const Simulation* s, uint64_t* words) { s->progress(words); }
EXPORT void simulation_stall(Simulation* s, uint64_t seed, uint64_t percent) {
    s->stall(seed, percent);
}
EXPORT const char* simulation_text(const Simulation* s) { return s->text(); }
