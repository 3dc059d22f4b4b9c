// A Modbus TCP slave (modbus-serial) with registers given on the command line; every unit has the same.
// Usage: node slave.js PORT FIRST_REGISTER LEDGER WORD...
const fs = require("fs");
const { createRequire } = require("module");
const Modbus = createRequire(process.env.MODBUS_SERIAL_ROOT + "/")("modbus-serial");
const [port, first, ledger, ...words] = process.argv.slice(2);
const at = Number(first);
const values = words.map(Number);
const read = (address) => {
    if (address < at || address >= at + values.length) {
        throw Object.assign(new Error("no such register"), { modbusErrorCode: 2 });
    }
    return values[address - at];
};
const wrote = (name) => (address, value, unit) => {
    if (ledger !== "-") {
        fs.appendFileSync(ledger, `modbus-serial unit ${unit} ${name}\n`);
    }
};
const server = new Modbus.ServerTCP(
    {
        getHoldingRegister: read,
        getInputRegister: read,
        getCoil: (address) => Boolean(read(address) & 1),
        getDiscreteInput: (address) => Boolean(read(address) & 1),
        setRegister: wrote("setRegister"),
        setCoil: wrote("setCoil"),
    },
    { host: "127.0.0.1", port: Number(port), unitID: 255 },
);
server.on("initialized", () => console.log("listening"));
