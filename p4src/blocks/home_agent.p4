// The pipeline: the blocks in their order. A target's shell calls it and carries the verdict out.
#ifndef BLOCKS_HOME_AGENT_P4
#define BLOCKS_HOME_AGENT_P4

#include "signalling.p4"
#include "decapsulation.p4"
#include "steering.p4"
#include "encapsulation.p4"
#include "routing.p4"

control HomeAgent(inout headers_t hdr, inout metadata_t meta) {
    Signalling()    signalling_block;
    Decapsulation() decapsulation;
    Steering()      steering;
    Encapsulation() encapsulation;
    Routing()       routing;

    // Ethernet and IPv6 header: what a frame has beside the IPv6 payload.
    const bit<32> FRAME_HEADER_OCTETS = 54;

    bit<17> inside;

    apply {
        inside = 0;
        meta.route_to = hdr.ipv6.destination;
        if (!hdr.ipv6.isValid() && !meta.parser_failed) {
            DROP(NOT_IPV6);
        } else if (meta.parser_failed || hdr.ipv6.version != 6 || IS_MULTICAST(hdr.ipv6.source)
                   || (bit<32>)hdr.ipv6.payload_length + FRAME_HEADER_OCTETS > meta.frame_octets) {
            // Lengths that lie would make us forward what is not there.
            DROP(MALFORMED);
        } else if (!meta.from_controller) {
            signalling_block.apply(hdr, meta);
            if (meta.verdict == verdict_t.FORWARD) {
                if (!hdr.inner_ipv6.isValid()) {
                    if (meta.own_address) {
                        DROP(SIGNALLING_DENIED);
                    }
                } else if (meta.own_address) {
                    inside = (bit<17>)hdr.inner_ipv6.payload_length + 40;
                    if (hdr.tunnel_option.isValid()) {
                        inside = inside + 8;
                    }
                    if (hdr.inner_ipv6.version != 6 || IS_MULTICAST(hdr.inner_ipv6.source)
                        || inside > (bit<17>)hdr.ipv6.payload_length) {
                        DROP(MALFORMED);
                    } else {
                        decapsulation.apply(hdr, meta);
                        meta.route_to = hdr.ipv6.destination;
                    }
                } else {
                    // A tunnel that is not ours is a packet like any other: what is inside is not its upper layer.
                    meta.upper.protocol = hdr.ipv6.next_header;
                    meta.upper.source_port = 0;
                    meta.upper.destination_port = 0;
                    meta.upper.spi = 0;
                }
            }
            if (meta.verdict == verdict_t.FORWARD) {
                // RFC 4291 sections 2.5.6 and 2.7: nothing of link scope is forwarded; multicast is not routed.
                if (IS_MULTICAST(hdr.ipv6.destination) || IS_LINK_LOCAL(hdr.ipv6.destination)
                    || IS_LINK_LOCAL(hdr.ipv6.source)) {
                    DROP(SCOPE);
                } else if (hdr.ipv6.hop_limit <= 1) {
                    DROP(HOP_LIMIT);
                } else {
                    hdr.ipv6.hop_limit = hdr.ipv6.hop_limit - 1;
                    steering.apply(hdr, meta);
                    if (meta.verdict == verdict_t.FORWARD && meta.mobile) {
                        encapsulation.apply(hdr, meta);
                    }
                }
            }
        }
        if (meta.verdict == verdict_t.FORWARD && !meta.delivered) {
            routing.apply(hdr, meta);
        }
    }
}

#endif
