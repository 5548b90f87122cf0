/* Every operator of v1model once: a packet is operands, and leaves with the results. */
#include <core.p4>
#include <v1model.p4>

header operands_t {
    bit<8>  a;
    bit<8>  b;
    int<8>  c;
    int<8>  d;
    bit<12> e;
    bit<4>  f;
    bit<64> g;
    bit<64> h;
}

header results_t {
    bit<8>  sum;
    bit<8>  difference;
    bit<8>  product;
    bit<8>  saturated_sum;
    bit<8>  saturated_difference;
    int<8>  signed_sum;
    int<8>  signed_saturated_sum;
    int<8>  signed_saturated_difference;
    bit<8>  left_shift;
    bit<8>  right_shift;
    int<8>  signed_right_shift;
    bit<8>  and_;
    bit<8>  or_;
    bit<8>  xor_;
    bit<8>  not_;
    bit<8>  negated;
    bit<16> concatenated;
    bit<4>  slice;
    bit<4>  nibble;
    bit<8>  flags;
    bit<8>  chosen;
    bit<64> wide_product;
    bit<32> cast_up;
    int<16> sign_extended;
    bit<16> written_slice;
    bit<8>  quotient;
    bit<8>  remainder;
}

struct headers_t {
    operands_t operands;
    results_t  results;
}

struct metadata_t {
    bool both;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.operands);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        if (!hdr.operands.isValid()) {
            mark_to_drop(standard);
            return;
        }
        hdr.results.setValid();
        hdr.results.sum = hdr.operands.a + hdr.operands.b;
        hdr.results.difference = hdr.operands.a - hdr.operands.b;
        hdr.results.product = hdr.operands.a * hdr.operands.b;
        hdr.results.saturated_sum = hdr.operands.a |+| hdr.operands.b;
        hdr.results.saturated_difference = hdr.operands.a |-| hdr.operands.b;
        hdr.results.signed_sum = hdr.operands.c + hdr.operands.d;
        hdr.results.signed_saturated_sum = hdr.operands.c |+| hdr.operands.d;
        hdr.results.signed_saturated_difference = hdr.operands.c |-| hdr.operands.d;
        hdr.results.left_shift = hdr.operands.a << hdr.operands.b;
        hdr.results.right_shift = hdr.operands.a >> hdr.operands.b;
        hdr.results.signed_right_shift = hdr.operands.c >> hdr.operands.b;
        hdr.results.and_ = hdr.operands.a & hdr.operands.b;
        hdr.results.or_ = hdr.operands.a | hdr.operands.b;
        hdr.results.xor_ = hdr.operands.a ^ hdr.operands.b;
        hdr.results.not_ = ~hdr.operands.a;
        hdr.results.negated = -hdr.operands.a;
        hdr.results.concatenated = hdr.operands.e ++ hdr.operands.f;
        hdr.results.slice = hdr.operands.e[9:6];
        hdr.results.nibble = hdr.operands.f + 1;
        bit<1> less = hdr.operands.a < hdr.operands.b ? 1w1 : 1w0;
        bit<1> signed_less = hdr.operands.c < hdr.operands.d ? 1w1 : 1w0;
        bit<1> equal = hdr.operands.a == hdr.operands.b ? 1w1 : 1w0;
        meta.both = hdr.operands.a >= hdr.operands.b && (hdr.operands.c >= hdr.operands.d || hdr.operands.a == 0);
        bit<1> both = meta.both ? 1w1 : 1w0;
        hdr.results.flags = 4w0 ++ both ++ equal ++ signed_less ++ less;
        hdr.results.chosen = hdr.operands.a > hdr.operands.b ? hdr.operands.a : hdr.operands.b;
        hdr.results.wide_product = hdr.operands.g * hdr.operands.h;
        hdr.results.cast_up = (bit<32>) hdr.operands.a;
        hdr.results.sign_extended = (int<16>) hdr.operands.c;
        hdr.results.written_slice = 0xFFFF;
        hdr.results.written_slice[11:4] = hdr.operands.a;
        hdr.results.quotient = (bit<8>) (hdr.operands.a >> 3);
        hdr.results.remainder = hdr.operands.a & 7;
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control Update(inout headers_t hdr, inout metadata_t meta) { apply { } }

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.results);
    }
}

V1Switch(Parse(), Verify(), In(), Out(), Update(), Deparse()) main;
