// simple-hl7 sends one file and prints MSA-1 and MSA-2 of the answer.
const hl7 = require('simple-hl7');
const fs = require('fs');
const [, , port, file] = process.argv;
const message = new hl7.Parser({ segmentSeperator: '\r' }).parse(fs.readFileSync(file, 'utf8').replace(/\r$/, ''));
hl7.Server.createTcpClient('127.0.0.1', Number(port)).send(message, (error, answer) => {
  if (error) throw error;
  const msa = answer.getSegment('MSA');
  console.log(`${msa.getField(1)} ${msa.getField(2)}`);
  process.exit(0);
});
