/* Print data frames of cortexcast.v1, one a file, or one on standard input. docs/protocol.md describes the bytes.
   cc -std=c99 -o decode_frame decode_frame.c && ./decode_frame FRAME.bin ... */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { HEADER = 40, STD = 9 };
static const char *const FLAGS[] = {"GAP", "RESET", "INTERPOLATED", "BAD_CHANNELS", "NO_SIGNAL", "OUT_OF_DISTRIBUTION",
                                    "REPLAYED", "RESTAMPED", "TRAINED_ON_SIMULATION", "STD"};

static uint64_t number(const unsigned char *at, int n_bytes) { /* little-endian, on any machine */
    uint64_t value = 0;
    while (n_bytes--) value = value << 8 | at[n_bytes];
    return value;
}

static void print_row(const char *name, const unsigned char *at, uint64_t n) {
    printf("%s", name);
    for (float value; n--; at += 4) {
        uint32_t bits = (uint32_t)number(at, 4);
        memcpy(&value, &bits, sizeof value);
        if (value != value) printf(" nan"); /* which some print with a sign */
        else printf(" %.9g", value);
    }
    printf("\n");
}

static const char *decode(FILE *file) { /* gives what is wrong, or NULL */
    static unsigned char m[(1 << 24) + 1]; /* a frame of 306 channels has 11 kB */
    size_t size = file ? fread(m, 1, sizeof m, file) : 0;
    if (!file || ferror(file)) return "cannot be read";
    if (size < HEADER) return "has fewer than the 40 bytes of a header: give one whole binary message";
    if (m[0] != 1 || m[1] != 1) return "is no data frame (kind 1) of version 1";
    uint64_t flags = number(m + 4, 4), t0_bits = number(m + 16, 8);
    uint64_t channels = number(m + 36, 2), samples = number(m + 38, 2);
    if (size != HEADER + 4 * channels * (samples + (flags >> STD & 1)))
        return "has another length than its header says: give one whole binary message";
    double t0;
    memcpy(&t0, &t0_bits, sizeof t0);
    printf("product_index %" PRIu64 "\nflags", number(m + 2, 2));
    for (unsigned bit = 0; bit < sizeof FLAGS / sizeof *FLAGS; bit++)
        if (flags >> bit & 1) printf(" %s", FLAGS[bit]);
    printf("\nsequence %" PRIu64 "\nt0 %.17g\n", number(m + 8, 8), t0);
    printf("first_sample %" PRIu64 "\ndropped %" PRIu64 "\n", number(m + 24, 8), number(m + 32, 4));
    for (uint64_t row = 0; row < channels; row++) print_row("data", m + HEADER + 4 * samples * row, samples);
    if (flags >> STD & 1) print_row("std", m + HEADER + 4 * samples * channels, channels);
    return NULL;
}

int main(int argc, char **argv) {
    int failed = 0;
    for (int i = argc > 1; i < argc; i++) {
        FILE *file = i ? fopen(argv[i], "rb") : stdin;
        const char *problem = decode(file);
        if (problem) fprintf(stderr, "decode_frame: %s %s\n", i ? argv[i] : "standard input", problem), failed = 1;
        if (file) fclose(file);
    }
    return failed;
}
