/* Fields of variable length, in a header, in a stack, in a checksum; parser value sets; a key given by a lookahead. */
#include <core.p4>
#include <v1model.p4>

header start_t {
    bit<8>  kind;
    bit<4>  first;
    bit<4>  words;
}

header options_t {
    bit<8>      tag;
    bit<8>      length;
    varbit<160> value;
    bit<16>     tail;
}

header piece_t {
    bit<8>      tag;
    bit<8>      octets;
    varbit<64>  value;
}

header mark_t {
    bit<8>  value;
    bit<16> sum;
}

struct headers_t {
    start_t    start;
    options_t  options;
    options_t  saved;
    piece_t[3] pieces;
    mark_t     mark;
}

struct pair_t {
    bit<4> first;
    bit<4> words;
}

struct metadata_t {
    bit<8> seen;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    value_set<bit<8>>(4) kinds;
    value_set<pair_t>(4) pairs;

    state start {
        packet.extract(hdr.start);
        transition select(hdr.start.kind) {
            1: options;
            2: pieces;
            kinds: by_kind;
            default: more;
        }
    }
    state more {
        transition select(hdr.start.first, hdr.start.words) {
            pairs: by_pair;
            default: accept;
        }
    }
    state by_kind {
        meta.seen = 1;
        transition accept;
    }
    state by_pair {
        meta.seen = 2;
        transition accept;
    }
    state options {
        bit<16> two = packet.lookahead<bit<16>>();
        packet.extract(hdr.options, (bit<32>)two[7:0] * 8);
        transition accept;
    }
    state pieces {
        transition select(packet.lookahead<bit<8>>()) {
            0: accept;
            default: piece;
        }
    }
    state piece {
        bit<16> two = packet.lookahead<bit<16>>();
        packet.extract(hdr.pieces.next, (bit<32>)two[7:0] * 8);
        transition pieces;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.mark.setValid();
        hdr.mark.value = meta.seen;
        if (hdr.options.isValid()) {
            hdr.saved = hdr.options;
            hdr.saved.tag = hdr.options.tag + 1;
            if (hdr.options.tag == 9) {
                hdr.options.setInvalid();
            } else if (hdr.options.tag == 8) {
                hdr.options.tail = 0xBEEF;
            }
        }
        if (hdr.pieces[1].isValid()) {
            if (hdr.pieces[1].tag == 7) {
                hdr.pieces.pop_front(1);
            } else if (hdr.pieces[1].tag == 6) {
                hdr.pieces.push_front(1);
                hdr.pieces[0] = hdr.pieces[1];
                hdr.pieces[0].tag = 0x77;
            }
        }
        if (standard.parser_error != error.NoError) {
            hdr.mark.value = 0xEE;
            if (standard.parser_error == error.HeaderTooShort) {
                hdr.mark.value = 0xE4;
            } else if (standard.parser_error == error.StackOutOfBounds) {
                hdr.mark.value = 0xE3;
            } else if (standard.parser_error == error.PacketTooShort) {
                hdr.mark.value = 0xE1;
            }
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control Compute(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.saved.isValid(), { hdr.saved.tag, hdr.saved.length, hdr.saved.value, hdr.saved.tail },
                        hdr.mark.sum, HashAlgorithm.csum16);
    }
}

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.mark);
        packet.emit(hdr.start);
        packet.emit(hdr.options);
        packet.emit(hdr.saved);
        packet.emit(hdr.pieces);
    }
}

V1Switch(Parse(), Verify(), In(), Out(), Compute(), Deparse()) main;
