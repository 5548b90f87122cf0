// A binding's tunnel: an outer header to the care-of address, or the home link itself.
#ifndef BLOCKS_ENCAPSULATION_P4
#define BLOCKS_ENCAPSULATION_P4

control Encapsulation(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_METER_BYTES(tunnel_meter)
    DIRECT_COUNTER(tunnel_counter)

    // RFC 2473 section 6; ECN copied as RFC 6040 section 4.1 has it, flow label as RFC 6438 section 3.
    @id(0x01000030) action encap_ipv6(ipv6_address_t source, ipv6_address_t destination) {
        COUNT(tunnel_counter);
        METER(tunnel_meter, meta.tunnel_colour);
        hdr.tunnel_ipv6.setValid();
        hdr.tunnel_ipv6.version = 6;
        hdr.tunnel_ipv6.traffic_class = hdr.ipv6.traffic_class;
        hdr.tunnel_ipv6.flow_label = meta.flow_hash;
        hdr.tunnel_ipv6.payload_length = hdr.ipv6.payload_length + IPV6_HEADER_OCTETS;
        hdr.tunnel_ipv6.next_header = PROTOCOL_IPV6;
        hdr.tunnel_ipv6.hop_limit = TUNNEL_HOP_LIMIT;
        hdr.tunnel_ipv6.source = source;
        hdr.tunnel_ipv6.destination = destination;
        meta.route_to = destination;
    }

    @id(0x01000031) action home_link(port_t port, mac_address_t source_mac, mac_address_t destination_mac) {
        COUNT(tunnel_counter);
        METER(tunnel_meter, meta.tunnel_colour);
        hdr.ethernet.source = source_mac;
        hdr.ethernet.destination = destination_mac;
        meta.egress_port = port;
        meta.delivered = true;
    }

    @id(0x01000032) action drop_tunnel() {
        COUNT(tunnel_counter);
        METER(tunnel_meter, meta.tunnel_colour);
        DROP(POLICY);
    }

    @id(0x01000033) action refuse_bid() {
        COUNT(tunnel_counter);
        METER(tunnel_meter, meta.tunnel_colour);
        DROP(NO_TUNNEL);
    }

    @id(0x02000030)
    table tunnels {
        key = {
            meta.node_id : exact @id(1) @name("node_id");
            meta.bid     : exact @id(2) @name("bid");
        }
        actions = { encap_ipv6; home_link; drop_tunnel; @defaultonly refuse_bid; }
        const default_action = refuse_bid();
        size = SIZE_TUNNELS;
        TABLE_METER(tunnel_meter)
        TABLE_COUNTER(tunnel_counter)
    }

    apply {
        if (hdr.ipv6.payload_length > MAX_TUNNEL_PAYLOAD) {
            DROP(TOO_BIG);
        } else {
            FLOW_HASH(meta.flow_hash)
            if (meta.flow_hash == 0) {
                meta.flow_hash = 1;     // RFC 6437 section 3: zero means "no label"
            }
            tunnels.apply();
            if (meta.tunnel_colour == METER_RED) {
                DROP(TUNNEL_RATE);
            }
        }
    }
}

#endif
