// The simulated board's serial line on a file descriptor.  Comes after the model, `Vtop`, with
// DIVISOR (clock cycles of a bit) and GAP (cycles of silence that the link tolerates) defined.
#include <poll.h>
#include <unistd.h>

namespace {

// Keep the simulation going this long after the last byte, so that a gap can expire.
constexpr long linger = 4 * GAP;
constexpr int cycles_per_look = 256;

struct Board {
    VerilatedContext context;
    Vtop top{&context};
    unsigned char input[4096];
    int size = 0, next = 0;
    int send_bits = 0, send_timer = 0, send_shift = 0;
    int receive_bit = -1, receive_timer = 0, receive_shift = 0;

    void tick() {
        top.clk = 0;
        top.eval();
        top.clk = 1;
        top.eval();
    }

    void reset() {
        top.rx = 1;
        top.rst = 1;
        for (int n = 0; n < 4; n++) tick();
        top.rst = 0;
    }

    // Bit-bang the board's rx: a start bit, eight data bits, a stop bit.
    void drive() {
        if (send_bits == 0 && next < size) {
            send_shift = (input[next++] << 1) | 0x200;
            send_bits = 10;
            send_timer = DIVISOR;
        }
        top.rx = send_bits ? send_shift & 1 : 1;
        if (send_bits && --send_timer == 0) {
            send_shift >>= 1;
            send_timer = DIVISOR;
            send_bits--;
        }
    }

    // Watch the board's tx; true when a byte is complete in receive_shift.
    bool watch() {
        if (receive_bit < 0) {
            if (!top.tx) {
                receive_bit = 0;
                receive_timer = DIVISOR + DIVISOR / 2;
                receive_shift = 0;
            }
            return false;
        }
        if (--receive_timer) return false;
        receive_timer = DIVISOR;
        if (receive_bit == 8) {
            receive_bit = -1;
            return true;
        }
        receive_shift |= top.tx << receive_bit++;
        return false;
    }
};

// Whether the process that owns the board is gone: it holds the other end of our stdin.
bool orphaned() {
    pollfd owner{0, POLLIN, 0};
    return poll(&owner, 1, 0) > 0 && (owner.revents & (POLLHUP | POLLERR | POLLNVAL));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void serve(int line) {
    Board board;
    board.reset();
    long quiet = 0;
    while (!orphaned()) {
        if (board.next == board.size) {
            int count = read(line, board.input, sizeof board.input);
            board.next = 0;
            board.size = count > 0 ? count : 0;
        }
        bool active = board.size > 0 || board.top.busy;
        for (int n = 0; n < cycles_per_look; n++) {
            board.drive();
            board.tick();
            if (board.watch()) {
                unsigned char byte = board.receive_shift;
                // A byte that nobody takes is lost, as on a real line.
                if (write(line, &byte, 1) < 0) continue;
                active = true;
            }
        }
        quiet = active || board.receive_bit >= 0 || board.send_bits ? 0 : quiet + cycles_per_look;
        if (quiet > linger) {
            pollfd waiting{line, POLLIN, 0};
            poll(&waiting, 1, 100);
        }
    }
}
