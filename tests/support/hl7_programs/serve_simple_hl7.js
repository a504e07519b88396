// simple-hl7 answers AA and prints each message as JSON: its segments as strings, as its own parser has them.
const app = require('simple-hl7').tcp();
app.use((request, response, next) => {
  console.log(JSON.stringify(request.msg.toString().split('\r')));
  response.end();
});
app.start(Number(process.argv[2]));
console.log('ready');
