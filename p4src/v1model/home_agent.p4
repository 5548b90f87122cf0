// The home agent's data plane for BMv2 and the embedded switch.
#include <core.p4>
#include <v1model.p4>

#include "target.p4"
#include "../common/sizes.p4"
#include "../common/types.p4"
#include "../common/headers.p4"
#include "../common/verdicts.p4"
#include "../blocks/parser.p4"
#include "../blocks/home_agent.p4"

parser ShellParser(packet_in packet, out headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    PacketParser() packet_parser;

    state start {
        packet_parser.apply(packet, hdr, meta, standard.ingress_port == CPU_PORT);
        transition accept;
    }
}

control ShellVerify(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ShellIngress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) {
    HomeAgent() home_agent;

    @id(0x12000001) counter(COUNT_DROP_REASONS, CounterType.packets_and_bytes) drops;

    apply {
        meta.parser_failed = standard.parser_error != error.NoError;
        meta.frame_octets = standard.packet_length;
        if (hdr.packet_out.isValid() && hdr.packet_out.routed == 0) {
            meta.egress_port = (port_t)hdr.packet_out.egress_port;
        } else {
            meta.from_controller = hdr.packet_out.isValid();
            home_agent.apply(hdr, meta);
        }
        hdr.packet_out.setInvalid();

        if (meta.verdict == verdict_t.FORWARD) {
            standard.egress_spec = meta.egress_port;
        } else if (meta.verdict == verdict_t.PUNT) {
            hdr.packet_in.setValid();
            hdr.packet_in.ingress_port = (bit<16>)standard.ingress_port;
            hdr.packet_in.reason = (bit<8>)meta.punt_reason;
            standard.egress_spec = CPU_PORT;
        } else {
            drops.count((bit<32>)(bit<8>)meta.drop_reason);
            mark_to_drop(standard);
        }
    }
}

control ShellEgress(inout headers_t hdr, inout metadata_t meta, inout standard_metadata_t standard) { apply { } }

control ShellUpdate(inout headers_t hdr, inout metadata_t meta) { apply { } }

control ShellDeparser(packet_out packet, in headers_t hdr) {
    apply {
        packet.emit(hdr.packet_in);
        packet.emit(hdr.ethernet);
        packet.emit(hdr.tunnel_ipv6);
        packet.emit(hdr.ipv6);
        packet.emit(hdr.tunnel_option);
        packet.emit(hdr.inner_ipv6);
    }
}

V1Switch(ShellParser(), ShellVerify(), ShellIngress(), ShellEgress(), ShellUpdate(), ShellDeparser()) main;
