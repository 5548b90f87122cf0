/* The parser: masks, ranges of states, lookahead, advance, verify, header stacks in a loop, and errors; then stack operations,
   validity and checksums. */
#include <core.p4>
#include <v1model.p4>

error { BadVersion }

header fixed_t {
    bit<4>  version;
    bit<4>  kind;
    bit<8>  command;
    bit<16> checksum;
}

header label_t {
    bit<7> value;
    bit<1> bottom;
}

header tail_t {
    bit<16> word;
}

header report_t {
    bit<8>  error_code;
    bit<8>  looked;
    bit<8>  state;
    bit<1>  bad_checksum;
    bit<7>  stack_first;
    bit<32> length;
}

struct headers_t {
    report_t   report;
    fixed_t    fixed;
    label_t[3] labels;
    tail_t     tail;
}

struct metadata_t {
    bit<8> looked;
    bit<8> state;
}

parser Parse(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    state start {
        packet.extract(hdr.fixed);
        verify(hdr.fixed.version == 6, error.BadVersion);
        transition select(hdr.fixed.kind, hdr.fixed.command) {
            (1, _): labels;
            (2, 0x80 &&& 0xC0): skip;
            (2, _): look;
            (3 &&& 3, 7): tail;
            default: accept;
        }
    }
    state labels {
        packet.extract(hdr.labels.next);
        transition select(hdr.labels.last.bottom) {
            0: labels;
            default: tail;
        }
    }
    state skip {
        meta.state = 2;
        packet.advance(16);
        transition tail;
    }
    state look {
        meta.state = 3;
        meta.looked = packet.lookahead<bit<8>>();
        transition select(packet.lookahead<bit<16>>()) {
            0xABCD: tail;
            default: accept;
        }
    }
    state tail {
        packet.extract(hdr.tail);
        transition accept;
    }
}

control Verify(inout headers_t hdr, inout metadata_t meta) {
    apply {
        verify_checksum(hdr.fixed.isValid() && hdr.fixed.checksum != 0,
                        { hdr.fixed.version, hdr.fixed.kind, hdr.fixed.command }, hdr.fixed.checksum, HashAlgorithm.csum16);
    }
}

control In(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        standard.egress_spec = 2;
        hdr.report.setValid();
        if (standard.parser_error == error.NoError) {
            hdr.report.error_code = 0;
        } else if (standard.parser_error == error.PacketTooShort) {
            hdr.report.error_code = 1;
        } else if (standard.parser_error == error.StackOutOfBounds) {
            hdr.report.error_code = 3;
        } else if (standard.parser_error == error.BadVersion) {
            hdr.report.error_code = 9;
        } else {
            hdr.report.error_code = 255;
        }
        hdr.report.looked = meta.looked;
        hdr.report.state = meta.state;
        hdr.report.bad_checksum = standard.checksum_error;
        if (hdr.fixed.isValid() && hdr.fixed.kind == 1) {
            if (hdr.fixed.command == 1) {
                hdr.labels.push_front(1);
                hdr.labels[0].setValid();
                hdr.labels[0].value = 0x55;
                hdr.labels[0].bottom = 0;
            } else if (hdr.fixed.command == 2) {
                hdr.labels.pop_front(1);
            } else if (hdr.fixed.command == 3) {
                hdr.tail.setInvalid();
            } else if (hdr.fixed.command == 4) {
                hdr.labels[1] = hdr.labels[0];
            }
            if (hdr.labels[0].isValid()) {
                hdr.report.stack_first = hdr.labels[0].value;
            }
        }
    }
}

control Out(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    apply {
        hdr.report.length = standard.packet_length;
    }
}

control Update(inout headers_t hdr, inout metadata_t meta) {
    apply {
        update_checksum(hdr.fixed.isValid() && hdr.fixed.command == 9,
                        { hdr.fixed.version, hdr.fixed.kind, hdr.fixed.command }, hdr.fixed.checksum, HashAlgorithm.csum16);
    }
}

control Deparse(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.report);
        packet.emit(hdr.fixed);
        packet.emit(hdr.labels);
        packet.emit(hdr.tail);
    }
}

V1Switch(Parse(), Verify(), In(), Out(), Update(), Deparse()) main;
