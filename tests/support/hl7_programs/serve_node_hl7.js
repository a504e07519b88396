// node-hl7-server answers AA and prints each message as JSON: its segments as strings, as its own parser has them.
const { Server } = require('node-hl7-server');
const inbound = new Server({ bindAddress: '127.0.0.1' }).createInbound({ port: Number(process.argv[2]) }, async (request, response) => {
  console.log(JSON.stringify(request.getMessage().toString().split('\r')));
  await response.sendResponse('AA');
});
inbound.on('listen', () => console.log('ready'));
