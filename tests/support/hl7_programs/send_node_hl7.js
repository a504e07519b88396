// node-hl7-client sends one file and prints MSA-1 and MSA-2 of the answer.
const { Client, Message } = require('node-hl7-client');
const fs = require('fs');
const [, , port, file] = process.argv;
const out = new Client({ host: '127.0.0.1' }).createConnection({ port: Number(port) }, async (response) => {
  const answer = response.getMessage();
  console.log(`${answer.get('MSA.1')} ${answer.get('MSA.2')}`);
  await out.close();
  process.exit(0);
});
out.sendMessage(new Message({ text: fs.readFileSync(file, 'utf8') }));
