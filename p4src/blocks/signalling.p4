// What is addressed to this switch at all, and what of it the controller wants to see.
#ifndef BLOCKS_SIGNALLING_P4
#define BLOCKS_SIGNALLING_P4

#include "description.p4"

control Stations(inout headers_t hdr, inout metadata_t meta) {
    InnerPacket() inner_packet;

    @id(0x01000001) action l3() { }

    @id(0x02000001)
    table my_station {
        key = { hdr.ethernet.destination : exact @id(1) @name("dst_mac"); }
        actions = { l3; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_MY_STATION;
    }

    @id(0x01000002) action own_address(home_agent_id_t home_agent_id) {
        meta.own_address = true;
        meta.home_agent_id = home_agent_id;
    }

    @id(0x02000002)
    table home_agents {
        key = { hdr.ipv6.destination : exact @id(1) @name("destination"); }
        actions = { own_address; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_HOME_AGENTS;
    }

    apply {
        if (!my_station.apply().hit) {
            // IPv6 multicast is for every station (RFC 2464 section 7): neighbour discovery comes this way. It is not forwarded.
            if (!(hdr.ipv6.isValid() && hdr.ethernet.destination[47:32] == 0x3333 && IS_MULTICAST(hdr.ipv6.destination))) {
                DROP(NOT_FOR_US);
            }
        }
        if (hdr.ipv6.isValid()) {
            if (home_agents.apply().hit) {
                inner_packet.apply(hdr, meta);
            } else {
                DESCRIBE_IPV6(hdr.ipv6)
            }
        } else if (meta.is_ipv4 == 1) {
            DESCRIBE_IPV4
        }
    }
}

// Only of what is no tunnel: signalling is never inside a tunnel to us.
control Signalling(inout headers_t hdr, inout metadata_t meta) {
    DIRECT_METER_PACKETS(signalling_meter)
    DIRECT_COUNTER(signalling_counter)

    @id(0x01000003) action punt(punt_reason_t reason) {
        COUNT(signalling_counter);
        METER(signalling_meter, meta.signalling_colour);
        PUNT(reason);
    }

    @id(0x01000004) action deny() {
        COUNT(signalling_counter);
        METER(signalling_meter, meta.signalling_colour);
        DROP(SIGNALLING_DENIED);
    }

    @id(0x02000003)
    table signalling {
        key = {
            hdr.ipv6.destination        : ternary @id(1) @name("destination");
            meta.upper.protocol         : ternary @id(2) @name("protocol");
            meta.upper.mh_type          : ternary @id(3) @name("mh_type");
            meta.upper.icmp_type        : ternary @id(4) @name("icmp_type");
            meta.upper.destination_port : ternary @id(5) @name("udp_port");
            meta.upper.home_address     : ternary @id(6) @name("home_address_option");
        }
        actions = { punt; deny; @defaultonly NoAction; }
        const default_action = NoAction();
        size = SIZE_SIGNALLING;
        TABLE_METER(signalling_meter)
        TABLE_COUNTER(signalling_counter)
    }

    apply {
        signalling.apply();
    }
}

#endif
